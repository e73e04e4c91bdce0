//! The retry table, by a clock that does not wait.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use super::server::{Answer, answer};
use super::*;

/// Time passes only by sleeping.
#[derive(Debug)]
pub(super) struct ManualClock {
    start: Instant,
    slept: Mutex<Vec<Duration>>,
}

impl ManualClock {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), slept: Mutex::default() })
    }

    pub(super) fn passed(&self) -> Duration {
        self.slept.lock().unwrap().iter().sum()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + self.passed()
    }

    fn monotonic(&self) -> Instant {
        self.start + self.passed()
    }

    fn sleep(&self, duration: Duration, _: &Cancel) {
        self.slept.lock().unwrap().push(duration);
    }
}

/// Sends to a server that gives `answers` in turn, the last one for ever. Returns outcome and waits.
fn run(policy: Policy, answers: &[(u16, &str)], limit: Option<u64>) -> (Result<Response>, Vec<u64>) {
    let answers: Vec<_> = answers.iter().map(|(status, headers)| (*status, (*headers).to_owned())).collect();
    let hangs = answers.iter().any(|(status, _)| *status == HANG);
    let next = AtomicUsize::new(0);
    let server = Server::plain(move |_| {
        let index = next.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        match &answers[index] {
            (HANG, _) => Answer::Hang,
            (status, headers) => answer(*status, headers, ""),
        }
    });
    let client = pool(&Ca::new("ca")).direct().unwrap();
    let clock = ManualClock::new();
    let url = server.url("/");
    // A slow machine must not turn an answer into silence.
    let patience = if hangs { Duration::from_millis(500) } else { Duration::from_secs(30) };
    let request = Request::get(&url).attempt_timeout(patience);
    let call = call_by(clock.clone(), &Cancel::new(), limit.map(Duration::from_secs));
    let outcome = send_with_retry(&client, &request, &call, policy);
    let waits: Vec<_> = clock.slept.lock().unwrap().iter().map(Duration::as_secs).collect();
    // A request that was given up may not have reached the server's log yet.
    server.wait_seen(waits.len() + 1);
    assert_eq!(server.seen().len(), waits.len() + 1);
    (outcome, waits)
}

fn waits(policy: Policy, answers: &[u16]) -> Vec<u64> {
    let answers: Vec<_> = answers.iter().map(|status| (*status, "")).collect();
    run(policy, &answers, None).1
}

const HANG: u16 = 0;

/// The rows for token endpoints: one more try after 5xx or silence, none against the server's wish.
#[test]
fn sts() {
    let (outcome, slept) = run(Policy::Sts, &[(503, ""), (200, "")], None);
    assert_eq!((outcome.unwrap().status, slept), (200, vec![1]));
    assert_eq!(waits(Policy::Sts, &[500]), [1]);
    assert_eq!(waits(Policy::Sts, &[HANG, 200]), [1]);
    for status in [400, 401, 404, 408, 410, 429] {
        assert!(waits(Policy::Sts, &[status]).is_empty(), "{status}");
    }
    let (outcome, slept) = run(Policy::Sts, &[(503, "Retry-After: 7\r\n")], None);
    assert_eq!((outcome.unwrap().status, slept.len()), (503, 0));
    assert_eq!(run(Policy::Sts, &[(503, "Retry-After: soon\r\n")], None).1, [1], "not a time at all");
}

/// The rows for IMDS: the first answer decides how often, the present one how long.
#[test]
fn imds() {
    for status in [404, 408, 429, 500, 504, 599, HANG] {
        assert_eq!(waits(Policy::Imds, &[status]), [1, 2, 4], "{status}");
    }
    for status in [200, 400, 401, 403] {
        assert!(waits(Policy::Imds, &[status]).is_empty(), "{status}");
    }
    assert_eq!(waits(Policy::Imds, &[410]), [10; 7]);
    assert_eq!(waits(Policy::Imds, &[410, 500]), [10, 2, 4, 4, 4, 4, 4]);
    assert_eq!(waits(Policy::Imds, &[500, 410]), [1, 10, 10]);
    assert_eq!(run(Policy::Imds, &[(503, "Retry-After: 60\r\n")], None).1, [1, 2, 4], "ignored");
    assert!(waits(Policy::ImdsProbe, &[404]).is_empty());
    assert_eq!(waits(Policy::ImdsProbe, &[408]), [1, 2, 4]);
    assert!(waits(Policy::Region, &[404]).is_empty() && waits(Policy::Region, &[408]).is_empty());
    assert_eq!(waits(Policy::Region, &[503]), [1, 2, 4]);
}

/// The rows for the other managed-identity sources: the server may ask for longer waits.
#[test]
fn managed_identity() {
    for status in [404, 408, 429, 500, 503, 504, HANG] {
        assert_eq!(waits(Policy::ManagedIdentity, &[status]), [1, 1, 1], "{status}");
    }
    for status in [400, 410, 501, 502] {
        assert!(waits(Policy::ManagedIdentity, &[status]).is_empty(), "{status}");
    }
    // since_july_2026 spec, section 1: a no to this identity.
    assert!(waits(Policy::UserAssigned, &[404]).is_empty());
    assert_eq!(waits(Policy::UserAssigned, &[503]), [1, 1, 1]);
    let asked = |header| run(Policy::ManagedIdentity, &[(429, header), (200, "")], None).1;
    assert_eq!(asked("Retry-After: 7\r\n"), [7]);
    assert_eq!(asked("Retry-After: 0\r\n"), [1]);
    assert_eq!(asked("Retry-After: Tue, 14 Nov 2023 22:13:30 GMT\r\n"), [10]);
    assert_eq!(asked("Retry-After: Tue, 14 Nov 2000 22:13:30 GMT\r\n"), [1]);
}

/// Is the last answer the outcome, rather than a timeout, when the next wait does not fit?
#[test]
fn a_wait_that_does_not_fit_ends_the_tries() {
    let (outcome, slept) = run(Policy::Imds, &[(410, "")], Some(25));
    assert_eq!((outcome.unwrap().status, slept), (410, vec![10, 10]));
    let (outcome, slept) = run(Policy::Imds, &[(HANG, "")], Some(2));
    assert_eq!((outcome.unwrap_err().kind(), slept), (ErrorKind::Timeout, vec![1]));
}

/// Is a connection that fails left alone, and is a cancellation during a wait the outcome?
#[test]
fn errors_that_are_not_retried() {
    let client = pool(&Ca::new("ca")).direct().unwrap();
    let nobody = Nobody::new();
    let url = Url::parse(&format!("http://{}/", nobody.address)).unwrap();
    for policy in [Policy::Sts, Policy::Imds, Policy::ManagedIdentity] {
        let clock = ManualClock::new();
        let call = call_by(clock.clone(), &Cancel::new(), None);
        let error = send_with_retry(&client, &Request::get(&url), &call, policy).unwrap_err();
        assert_eq!(error.transport(), Some(TransportFailure::Connect));
        assert!(clock.slept.lock().unwrap().is_empty());
    }
    let server = Server::plain(|_| answer(503, "", ""));
    let cancel = Cancel::new();
    let canceller = cancel.clone();
    let sink = move |_: crate::log::LogLevel, _: &str, line: &str| {
        assert!(line.contains("retry 1 of 1 (Sts) in 1s after status 503"), "{line}");
        canceller.cancel();
    };
    let log = Logger::new(crate::log::LogLevel::Info, Arc::new(sink));
    let call = Call::new(Arc::new(SystemClock), cancel, log, "the-id".to_owned(), None);
    let url = server.url("/");
    let error = send_with_retry(&client, &Request::get(&url), &call, Policy::Sts).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}
