//! Faults: how a test makes the cloud misbehave.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The names of the operations that faults and counters know.
pub const OPERATIONS: [&str; 23] = [
    "imds_token",
    "metadata",
    "issuecredential",
    "compute",
    "app_service",
    "arc",
    "service_fabric",
    "cloud_shell",
    "machine_learning",
    "token",
    "token_proxy",
    "instance_discovery",
    "openid_configuration",
    "webfinger",
    "graph",
    "vault",
    "attest",
    "attest_init",
    "attest_request",
    "oidc",
    "connect",
    "tls_client_certificate",
    "tls_certificate_request",
];

/// One misbehaviour, for the next `times` requests of an operation.
///
/// With `status` or `body` the operation is not judged at all: that is the answer. Otherwise the
/// request is judged as always and the other members bend what comes out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// The operation it is for: one of [`OPERATIONS`].
    pub operation: String,
    /// How many requests it is for.
    pub times: u32,
    /// Answer this status without judging the request.
    pub status: Option<u16>,
    /// Answer this body (with status 200 unless `status` says otherwise) without judging the request.
    pub body: Option<String>,
    /// Add these header fields to the answer; they replace fields of the same name.
    pub headers: BTreeMap<String, String>,
    /// Wait so long before answering.
    pub delay_ms: u64,
    /// Cut the connection.
    pub close: Option<Close>,
    /// Merge these members into a JSON answer; `null` removes one.
    pub set: Map<String, Value>,
    /// Merge these claims into the token that is issued, before it is signed; `null` removes one.
    pub claims: Map<String, Value>,
    /// How often Key Vault asks for the certificate in a renegotiation before it answers, instead of once.
    pub renegotiations: Option<u32>,
    /// Lifetime of the certificate that `issuecredential` issues.
    pub certificate_seconds: Option<i64>,
}

/// When a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Close {
    /// The request is read, and not judged; no answer comes.
    BeforeResponse,
    /// Key Vault asks for the certificate in a renegotiation, and does not wait for it; no answer comes.
    InRenegotiation,
    /// The request is judged; its head and half of its body are sent.
    MidResponse,
}

impl Default for Fault {
    fn default() -> Self {
        Fault {
            operation: String::new(),
            times: 1,
            status: None,
            body: None,
            headers: BTreeMap::new(),
            delay_ms: 0,
            close: None,
            set: Map::new(),
            claims: Map::new(),
            renegotiations: None,
            certificate_seconds: None,
        }
    }
}

impl Fault {
    /// A fault that does nothing yet, once, for `operation`: fill in the rest.
    pub fn on(operation: &str) -> Self {
        Fault { operation: operation.to_owned(), ..Fault::default() }
    }

    /// The next answer of `operation` has these members merged in; `null` removes one.
    ///
    /// `members` is a JSON object; anything else changes nothing.
    pub fn set(operation: &str, members: Value) -> Self {
        let set = match members {
            Value::Object(set) => set,
            _ => Map::new(),
        };
        Fault { set, ..Fault::on(operation) }
    }

    /// The next token of `operation` has these claims merged in before it is signed; `null` removes one.
    ///
    /// `claims` is a JSON object; anything else changes nothing.
    pub fn claims(operation: &str, claims: Value) -> Self {
        let Fault { set: claims, .. } = Fault::set(operation, claims);
        Fault { claims, ..Fault::on(operation) }
    }

    /// The next request of `operation` is answered with this status and an empty body.
    pub fn status(operation: &str, status: u16) -> Self {
        Fault { status: Some(status), ..Fault::on(operation) }
    }
}

/// The faults to come, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    queue: Mutex<Vec<Fault>>,
}

impl Faults {
    /// Adds a fault; an operation that does not exist is an error, for it would never strike.
    pub(crate) fn add(&self, fault: Fault) -> Result<(), String> {
        if !OPERATIONS.contains(&fault.operation.as_str()) {
            return Err(format!(
                "unknown operation {:?}; there are {}",
                fault.operation,
                OPERATIONS.join(", ")
            ));
        }
        if fault.status.is_some_and(|status| !(200..600).contains(&status)) {
            return Err("status must be between 200 and 599".to_owned());
        }
        if fault.times > 0 {
            self.lock().push(fault);
        }
        Ok(())
    }

    /// The fault that strikes this request of `operation`, if any.
    pub(crate) fn take(&self, operation: &str) -> Option<Fault> {
        let mut queue = self.lock();
        let at = queue.iter().position(|fault| fault.operation == operation)?;
        queue[at].times -= 1;
        Some(if queue[at].times == 0 { queue.remove(at) } else { queue[at].clone() })
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Merges `members` into the object `into`; `null` removes.
pub(crate) fn merge(into: &mut Value, members: &Map<String, Value>) {
    let Some(object) = into.as_object_mut() else {
        return;
    };
    for (name, value) in members {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
}
