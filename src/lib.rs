//! Microsoft Entra tokens, Bearer and mTLS proof-of-possession (`mtls_pop`, RFC 8705 style).
//!
//! Make [`AppOptions`], an [`App`] from them, and ask it for a [`Token`] with a [`TokenRequest`]; call
//! the API with [`App::send`]. Every call blocks; share the app between threads.
//!
//! The rooms of the house, each importing only from those below it:
//!
//! | room | job |
//! |---|---|
//! | `fuzzing` | what fuzzers call: for them and for tests alone |
//! | `ffi` | the C ABI |
//! | `app` | the one flow: cache, else fetch once for all who wait |
//! | `resource` | calling an API with a token |
//! | `credential` | how a confidential client proves itself |
//! | `managed_identity` | how the host vouches for a workload |
//! | `attestation` | tokens that prove where a key lives |
//! | `token` | asking a token endpoint, and the token cache |
//! | `authority` | from authority, region and mTLS to an endpoint |
//! | `http` | connections, TLS, proxies, retries |
//! | `binding` | certificates with their private keys |
//! | `key` | where private keys live |
//! | `runtime`, `error`, `secret`, `clock`, `env`, `log`, `metrics`, `pem` | what every room needs |

mod app;
mod attestation;
mod authority;
mod binding;
mod clock;
mod credential;
mod env;
mod error;
mod ffi;
#[cfg(all(any(test, fuzzing), feature = "renegotiation"))]
pub mod fuzzing;
mod http;
mod key;
mod log;
mod managed_identity;
mod metrics;
mod pem;
mod resource;
mod runtime;
mod secret;
mod token;

pub use app::{
    App, AppOptions, BackgroundRefreshFn, CacheLevel, Look, Metadata, Server, ServerRole, Servers, Token,
    TokenRequest, TokenSource,
};
pub use attestation::{AttestationProvider, AttestationRequest};
pub use authority::{RegionOutcome, federated_credential_audience};
pub use binding::{BindingStore, Certificate, CertificateSummary, FileLock, Pkcs12Format, StoreSecretFn};
pub use clock::{Clock, SystemClock};
pub use credential::{AssertionProvider, AssertionRequest, CertificateProvider, Credential, SignedAssertion};
pub use env::{Env, ProcessEnv};
pub use error::{Error, ErrorKind, Result};
pub use http::{BodyReader, ObservedAnswer, ObservedRequest, RequestObserverFn, TlsVersion};
pub use key::{MtlsBindingStrength, SignRequest, Signer, TpmAuthFn, TpmOptions};
pub use log::{LogFn, LogLevel, Logger};
pub use managed_identity::{ManagedIdentityCapabilities, ManagedIdentityId, ManagedIdentitySource};
pub use metrics::{Metric, MetricKind, MetricsFn};
pub use resource::{HttpRequest, HttpResponse, HttpStream};
pub use runtime::Cancel;
pub use secret::{Secret, SecretBytes};
pub use token::{CacheRefreshReason, TokenCache, TokenCacheStatistics, TokenFiles, TokenStore, TokenType};
