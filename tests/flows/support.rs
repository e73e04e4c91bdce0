//! A cloud, apps that live in it, and a clock that a test can move.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use devcloud::{Cloud, Fault, Options, ReceivedRequest, directory};
use mtlspop::{
    App, AppOptions, AssertionProvider, AssertionRequest, Cancel, Certificate, Clock, Credential,
    ManagedIdentityId, Result, Secret, SignedAssertion, Token, TokenRequest,
};

pub const GRAPH_SCOPE: &str = "https://graph.microsoft.com/.default";
pub const GRAPH: &str = "https://graph.microsoft.com/";
pub const VAULT: &str = "https://vault.azure.net";
pub const SYSTEM: ManagedIdentityId = ManagedIdentityId::SystemAssigned;

/// Real time plus what the test added. Sleeping only adds.
#[derive(Debug, Default)]
pub struct TestClock {
    ahead: AtomicU64,
    slept: AtomicU64,
    looks: AtomicU64,
}

impl TestClock {
    pub fn advance(&self, duration: Duration) {
        self.ahead.fetch_add(duration.as_secs(), Ordering::SeqCst);
    }

    /// How long the library has waited between two attempts.
    pub fn slept(&self) -> Duration {
        Duration::from_secs(self.slept.load(Ordering::SeqCst))
    }

    fn ahead(&self) -> Duration {
        Duration::from_secs(self.ahead.load(Ordering::SeqCst))
    }

    /// How often somebody with a time limit has asked how much is left.
    pub fn looks(&self) -> u64 {
        self.looks.load(Ordering::SeqCst)
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        SystemTime::now() + self.ahead()
    }

    fn monotonic(&self) -> Instant {
        self.looks.fetch_add(1, Ordering::SeqCst);
        Instant::now() + self.ahead()
    }

    fn sleep(&self, duration: Duration, _: &Cancel) {
        self.slept.fetch_add(duration.as_secs(), Ordering::SeqCst);
        self.advance(duration);
    }
}

pub struct World {
    pub cloud: Arc<Cloud>,
    pub clock: Arc<TestClock>,
    number: u64,
}

impl World {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// With a cloud of another kind.
    pub fn with(options: Options) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { cloud: Arc::new(Cloud::start(options).unwrap()), clock: Arc::default(), number }
    }

    /// What the token service was asked last.
    pub fn last_token_request(&self) -> ReceivedRequest {
        let mut requests = self.cloud.requests();
        requests.retain(|request| request.operation.as_deref() == Some("token"));
        requests.pop().expect("a token request")
    }

    /// Moves both clocks, so that the cloud agrees about what has expired.
    pub fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
        self.cloud.advance_clock(duration);
    }

    /// The cloud's environment. The caches of managed identity belong to the process and tell hosts
    /// apart by the address as it is written: a number makes it another one in each world, for the port
    /// may have been that of an earlier one. The library replaces path and query when it asks.
    pub fn env(&self) -> HashMap<String, String> {
        let mut env: HashMap<_, _> = self.cloud.env().into_iter().collect();
        let imds = format!("{}/?world={}", self.cloud.imds_url(), self.number);
        env.insert("AZURE_POD_IDENTITY_AUTHORITY_HOST".to_owned(), imds);
        env
    }

    fn finish(&self, options: AppOptions) -> AppOptions {
        options.with_env(Arc::new(self.env())).with_clock(self.clock.clone())
    }

    pub fn managed_identity_options(&self, id: ManagedIdentityId) -> AppOptions {
        self.finish(AppOptions::managed_identity(id))
    }

    pub fn managed_identity(&self, id: ManagedIdentityId) -> App {
        App::new(self.managed_identity_options(id)).unwrap()
    }

    /// App A of the directory, with any credential.
    pub fn app_a_options(&self, credential: Credential) -> AppOptions {
        let options = AppOptions::confidential_client(directory::APP_A_CLIENT_ID)
            .with_authority(&authority("login.microsoftonline.com"))
            .with_azure_region("east us")
            .with_credential(credential);
        self.finish(options)
    }

    /// App A with its SN/I certificate.
    pub fn sni(&self) -> App {
        App::new(self.app_a_options(self.sni_credential())).unwrap()
    }

    pub fn sni_credential(&self) -> Credential {
        let certificate = Certificate::from_file(&self.cloud.files().sni(), None, None).unwrap();
        Credential::Certificate { certificate, send_x5c: true }
    }

    /// App B of the directory, with an assertion callback.
    pub fn fic_options(&self, provider: impl AssertionProvider + 'static) -> AppOptions {
        let options = AppOptions::confidential_client(directory::APP_B_CLIENT_ID)
            .with_authority(&authority("login.microsoftonline.com"))
            .with_azure_region("eastus")
            .with_credential(Credential::Assertion(Arc::new(provider)));
        self.finish(options)
    }

    /// What a workload's callback would do: read the assertion, and the certificate it is bound to.
    pub fn fic_answer(&self, bound: bool) -> SignedAssertion {
        let files = self.cloud.files();
        let file = if bound { files.fic_assertion() } else { files.fic_assertion_unbound() };
        let certificate = bound.then(|| Certificate::from_file(&files.fic_binding(), None, None).unwrap());
        SignedAssertion { assertion: Secret::new(std::fs::read_to_string(file).unwrap()), certificate }
    }

    /// App B with a callback that always gives the same answer.
    pub fn fic(&self, bound: bool) -> App {
        let answer = self.fic_answer(bound);
        App::new(self.fic_options(Provider(move |_: &AssertionRequest<'_>| Ok(answer.clone())))).unwrap()
    }
}

pub fn authority(host: &str) -> String {
    format!("https://{host}/{}", directory::TENANT_ID)
}

pub fn pop(scopes_or_resource: &str) -> TokenRequest {
    TokenRequest::new(scopes_or_resource).with_mtls_proof_of_possession(true)
}

pub fn bearer(scopes_or_resource: &str) -> TokenRequest {
    TokenRequest::new(scopes_or_resource)
}

/// Waits until `what` is true, as another thread is to make it.
pub fn wait_for(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !what() {
        assert!(Instant::now() < end, "waited in vain");
        // Leaves the processor to those who are waited for.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The next answer of `operation` comes a minute late.
pub fn hang(world: &World, operation: &str) {
    world.cloud.fault(Fault { delay_ms: 60_000, ..Fault::on(operation) }).unwrap();
}

/// Asks on another thread, and raises the flag as soon as `reached`.
pub fn cancel_when(app: &App, request: &TokenRequest, reached: impl Fn() -> bool) -> Result<Token> {
    let cancel = Cancel::new();
    let request = request.clone().with_cancel(cancel.clone());
    std::thread::scope(|scope| {
        let call = scope.spawn(|| app.acquire_token(&request));
        wait_for(|| reached() || call.is_finished());
        cancel.cancel();
        call.join().unwrap()
    })
}

/// Whether the last request for `operation` is still without its answer: who asked has not waited for it.
pub fn is_held_back(world: &World, operation: &str) -> bool {
    let requests = world.cloud.requests();
    let last = requests.iter().rfind(|request| request.operation.as_deref() == Some(operation));
    last.unwrap().status.is_none()
}

/// An assertion provider made of a function.
pub struct Provider<F>(pub F);

impl<F> AssertionProvider for Provider<F>
where
    F: Fn(&AssertionRequest<'_>) -> Result<SignedAssertion> + Send + Sync,
{
    fn assertion(&self, request: &AssertionRequest<'_>) -> Result<SignedAssertion> {
        (self.0)(request)
    }
}

/// The claims of a token, which only tests read.
pub fn claims(token: &Token) -> serde_json::Value {
    let payload = token.access_token().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Asserts that `token` is bound to the certificate that came with it, and gives its `x5t#S256`.
pub fn assert_bound(token: &Token) -> String {
    let certificate = token.binding_certificate().expect("a bound token brings its certificate");
    assert_eq!(token.token_type().as_str(), "mtls_pop");
    assert_eq!(claims(token)["cnf"]["x5t#S256"], certificate.x5t_s256());
    certificate.x5t_s256().to_owned()
}
