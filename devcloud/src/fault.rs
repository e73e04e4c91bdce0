//! Faults: how a test makes the cloud misbehave.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::record::Who;

/// The names of the operations that faults and counters know.
pub const OPERATIONS: [&str; 25] = [
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
    "storage",
    "attest",
    "attest_init",
    "attest_request",
    "oidc",
    "connect",
    "tls_client_certificate",
    "tls_certificate_request",
    "tls_server_certificate",
];

/// Those whose requests tell which tenant they are about.
const TELL_TENANT: [&str; 6] = ["token", "token_proxy", "openid_configuration", "graph", "vault", "storage"];
/// And those whose requests tell, or may tell, which client sends them.
const TELL_CLIENT: [&str; 10] = [
    "token",
    "token_proxy",
    "graph",
    "vault",
    "storage",
    "imds_token",
    "metadata",
    "issuecredential",
    "app_service",
    "arc",
];

/// One misbehaviour, for the next `times` requests of an operation, a share of them, or all for a while.
///
/// With `status` or `body` the operation is not judged at all: that is the answer. Otherwise the
/// request is judged as always and the other members bend what comes out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// The operation it is for: one of [`OPERATIONS`].
    pub operation: String,
    /// Only requests about this tenant, by its id.
    pub tenant: Option<String>,
    /// Only requests of this client.
    pub client_id: Option<String>,
    /// How many requests it is for, unless `probability` or `for_ms` says which.
    pub times: u32,
    /// Strike this share of the requests, from 0 to 1, until the fault is cleared.
    pub probability: Option<f64>,
    /// Where the dice of `probability` begin: the same seed strikes the same requests, as they are numbered.
    pub seed: u64,
    /// Strike for so long from now on: every request, or with `probability` a share.
    pub for_ms: Option<u64>,
    /// What [`Cloud::counter`](crate::Cloud::counter) counts as `fault:{name}` each time it strikes.
    pub name: Option<String>,
    /// Answer this status without judging the request: with the body that the service's own errors have, unless `body` is
    /// there.
    pub status: Option<u16>,
    /// Answer this body (with status 200 unless `status` says otherwise) without judging the request. In JSON it may be a
    /// text, or what the text is to be the JSON of.
    #[serde(deserialize_with = "text_or_json")]
    pub body: Option<String>,
    /// Add these header fields to the answer; they replace fields of the same name.
    pub headers: BTreeMap<String, String>,
    /// Wait so long before answering.
    pub delay_ms: u64,
    /// Take so long to send the body, in ten pieces.
    pub body_ms: u64,
    /// Send so many blanks after the body.
    pub blanks: u64,
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
    /// `issuecredential` issues the certificate for another key than the one it was asked for.
    pub other_key: bool,
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
    /// The request is read, and not judged; TCP resets the connection.
    Reset,
}

impl Default for Fault {
    fn default() -> Self {
        Fault {
            operation: String::new(),
            tenant: None,
            client_id: None,
            times: 1,
            probability: None,
            seed: 0,
            for_ms: None,
            name: None,
            status: None,
            body: None,
            headers: BTreeMap::new(),
            delay_ms: 0,
            body_ms: 0,
            blanks: 0,
            close: None,
            set: Map::new(),
            claims: Map::new(),
            renegotiations: None,
            certificate_seconds: None,
            other_key: false,
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
        Fault { status: Some(status), body: Some(String::new()), ..Fault::on(operation) }
    }
}

fn text_or_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::String(text) => Some(text),
        json => Some(json.to_string()),
    })
}

/// The faults to come, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: Vec<Waiting>,
    /// How many were added, ever.
    added: u64,
    /// How often those with a name have struck.
    struck: BTreeMap<String, u64>,
}

/// A fault that has not done its work yet.
#[derive(Debug)]
struct Waiting {
    fault: Fault,
    until: Option<Instant>,
    dice: Rng,
}

impl Waiting {
    /// Whether it is for the next request, which is theirs.
    fn strikes(&mut self, who: &Who) -> bool {
        let is = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        is(&self.fault.tenant, &who.tenant) && is(&self.fault.client_id, &who.client_id) && self.is_thrown()
    }

    fn is_thrown(&mut self) -> bool {
        self.fault.probability.is_none_or(|probability| self.dice.f64() < probability)
    }

    /// Whether it is used up by that.
    fn is_last(&mut self) -> bool {
        if self.fault.probability.is_none() && self.until.is_none() {
            self.fault.times -= 1;
        }
        self.fault.times == 0
    }
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
        for (what, is_scoped, tell) in [
            ("tenant", fault.tenant.is_some(), &TELL_TENANT[..]),
            ("client_id", fault.client_id.is_some(), &TELL_CLIENT),
        ] {
            // It would never strike.
            if is_scoped && !tell.contains(&fault.operation.as_str()) {
                let which = tell.join(", ");
                return Err(format!(
                    "a request of {} does not tell its {what}; those of {which} do",
                    fault.operation
                ));
            }
        }
        if fault.status.is_some_and(|status| !(200..600).contains(&status)) {
            return Err("status must be between 200 and 599".to_owned());
        }
        if fault.probability.is_some_and(|probability| !(0.0..=1.0).contains(&probability)) {
            return Err("probability must be between 0 and 1".to_owned());
        }
        if fault.times > 0 {
            self.lock().add(fault, Instant::now());
        }
        Ok(())
    }

    /// The fault that strikes this request of `operation`, which is theirs, if any.
    pub(crate) fn take(&self, operation: &str, who: &Who) -> Option<Fault> {
        self.lock().take(operation, who, Instant::now())
    }

    /// The same where it does not show whose it is.
    pub(crate) fn take_any(&self, operation: &str) -> Option<Fault> {
        self.take(operation, &Who::default())
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        self.lock().queue.iter().map(|waiting| waiting.fault.clone()).collect()
    }

    /// How often those with a name have struck, as the counters are called.
    pub(crate) fn struck(&self) -> BTreeMap<String, u64> {
        self.lock().struck.clone()
    }

    /// Forgets those to come.
    pub(crate) fn clear(&self) {
        self.lock().queue.clear();
    }

    /// Forgets everything.
    pub(crate) fn reset(&self) {
        *self.lock() = State::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, fault: Fault, now: Instant) {
        // Two faults of one seed do not throw the same dice.
        let dice = Rng::with_seed(fault.seed.wrapping_add(self.added));
        let until = fault.for_ms.map(|milliseconds| now + Duration::from_millis(milliseconds));
        self.queue.push(Waiting { fault, until, dice });
        self.added += 1;
    }

    fn take(&mut self, operation: &str, who: &Who, now: Instant) -> Option<Fault> {
        self.queue.retain(|waiting| waiting.until.is_none_or(|until| now < until));
        let of_it = |waiting: &mut Waiting| waiting.fault.operation == operation && waiting.strikes(who);
        let at = self.queue.iter_mut().position(of_it)?;
        let fault = self.queue[at].fault.clone();
        if let Some(name) = &fault.name {
            *self.struck.entry(format!("fault:{name}")).or_default() += 1;
        }
        if self.queue[at].is_last() {
            self.queue.remove(at);
        }
        Some(fault)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of a thousand requests are struck by two faults of the same share?
    fn struck(seed: u64) -> Vec<Option<String>> {
        let mut state = State::default();
        for name in ["one", "two"] {
            let fault = Fault { probability: Some(0.05), seed, ..Fault::status("token", 503) };
            state.add(Fault { name: Some(name.to_owned()), ..fault }, Instant::now());
        }
        let strikes = (0..1000).map(|_| state.take("token", &Who::default(), Instant::now())?.name).collect();
        let count = |name| state.struck.get(name).copied().unwrap_or_default();
        for name in ["fault:one", "fault:two"] {
            assert!((25..=75).contains(&count(name)), "{:?}", state.struck);
        }
        strikes
    }

    /// Does a share stay a share for as long as the fault is there, of the same requests with the same seed, and of
    /// others with another?
    #[test]
    fn a_share_is_struck() {
        assert_eq!(struck(1), struck(1));
        assert_ne!(struck(1), struck(2));
    }

    /// Are all requests of a window struck and none after it, and does no other operation take part?
    #[test]
    fn a_window_ends() {
        let (mut state, start) = (State::default(), Instant::now());
        state.add(Fault { for_ms: Some(1000), ..Fault::status("metadata", 503) }, start);
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        for at in [0, 1, 500, 999] {
            assert!(state.take("metadata", &Who::default(), after(at)).is_some(), "{at}");
            assert!(state.take("token", &Who::default(), after(at)).is_none(), "{at}");
        }
        assert!(state.take("metadata", &Who::default(), after(1000)).is_none());
        assert!(state.queue.is_empty());
    }
}
