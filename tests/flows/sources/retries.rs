//! When a source is asked again, and when no longer (managed_identity spec, section 7).

use std::time::Duration;

use devcloud::{Close, Fault, Source};
use mtlspop::{Cancel, Clock, ErrorKind};

use super::{SYSTEM, app, ask, operation, received};
use crate::support::{GRAPH, World, bearer, wait_for};

/// Section 7.1: which statuses are retried, how often and after what time? Is the last one told, as
/// retryable where section 6.0 says so?
#[test]
fn of_the_other_sources() {
    let mut rows: Vec<_> = [404, 408, 429, 500, 503, 504].map(|status| (status, 4)).to_vec();
    rows.extend([400, 403, 405, 410, 501, 502].map(|status| (status, 1)));
    for source in Source::ALL {
        let world = World::new();
        for (status, attempts) in &rows {
            world.cloud.reset();
            world.cloud.fault(Fault { times: 9, ..Fault::status(operation(source), *status) }).unwrap();
            let before = world.clock.slept();
            let error = ask(&world, source, SYSTEM).unwrap_err();
            let shown = format!("{source:?} {status}");
            assert_eq!(world.cloud.counter(operation(source)), *attempts, "{shown}");
            assert_eq!(world.clock.slept() - before, Duration::from_secs(attempts - 1), "{shown}");
            assert_eq!(
                (error.code(), error.http_status()),
                ("managed_identity_request_failed", Some(*status))
            );
            let kind = if *status == 429 { ErrorKind::Throttled } else { ErrorKind::Rejected };
            assert_eq!((error.kind(), error.is_retryable()), (kind, *attempts > 1), "{shown}");
        }
    }
}

/// Section 7.1: does Retry-After prolong the wait, in seconds or as a date, and never shorten it? Is a
/// source that recovers asked no more than needed?
#[test]
fn retry_after() {
    let world = World::new();
    let at = |seconds| httpdate::fmt_http_date(world.clock.now() + Duration::from_secs(seconds));
    for (header, least, most) in
        [("7".into(), 7, 7), ("0".into(), 1, 1), ("soon".into(), 1, 1), (at(3600), 3500, 3600)]
    {
        world.cloud.reset();
        let headers = [("retry-after".to_owned(), header.clone())].into();
        world.cloud.fault(Fault { headers, ..Fault::status("app_service", 503) }).unwrap();
        let before = world.clock.slept();
        let request = bearer(GRAPH).with_force_refresh(true);
        app(&world, Source::AppService).acquire_token(&request).unwrap();
        let slept = (world.clock.slept() - before).as_secs();
        assert!((least..=most).contains(&slept), "{header}: {slept}");
        assert_eq!(world.cloud.counter("app_service"), 2, "{header}");
    }
}

/// Section 7.2: which statuses of IMDS are retried, how often and after what time?
#[test]
fn of_imds() {
    let world = World::new();
    let mut rows: Vec<_> =
        [404, 408, 429, 500, 501, 502, 503, 504, 599].map(|status| (status, 4, 7)).to_vec();
    rows.extend([(410, 8, 70), (400, 1, 0), (403, 1, 0)]);
    for (status, attempts, seconds) in rows {
        world.cloud.reset();
        let headers = [("retry-after".to_owned(), "1000".to_owned())].into();
        let fault = Fault { times: 9, headers, ..Fault::status("imds_token", status) };
        world.cloud.fault(fault).unwrap();
        let before = world.clock.slept();
        let error = world.managed_identity(SYSTEM).acquire_token(&bearer(GRAPH)).unwrap_err();
        assert_eq!(error.http_status(), Some(status));
        assert_eq!(world.cloud.counter("imds_token"), attempts, "{status}");
        assert_eq!((world.clock.slept() - before).as_secs(), seconds, "{status}: Retry-After is ignored");
    }
}

/// Is a source that does not answer given up when the caller's time is over (that it is asked again before, as
/// in the design's row "IMDS timeouts", is tested where the attempts' own limit can be set)? Is a
/// cut connection not retried (section 7.1)?
#[test]
fn silence_and_cut_connections() {
    let sources = [None, Some(Source::AppService), Some(Source::AzureArc), Some(Source::CloudShell)];
    for source in sources {
        let world = World::new();
        let operation = source.map_or("imds_token", operation);
        let app = match source {
            Some(source) => app(&world, source),
            None => world.managed_identity(SYSTEM),
        };
        world.cloud.fault(Fault { times: 9, delay_ms: 60_000, ..Fault::on(operation) }).unwrap();
        let request = bearer(GRAPH).with_timeout(Some(Duration::from_millis(300)));
        let error = app.acquire_token(&request).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Timeout, "request_timeout"), "{operation}");

        world.cloud.reset();
        let cut = Fault { close: Some(Close::BeforeResponse), times: 9, ..Fault::on(operation) };
        world.cloud.fault(cut).unwrap();
        let error = app.acquire_token(&bearer(GRAPH)).unwrap_err();
        let expected = (ErrorKind::Network, "managed_identity_unreachable_network");
        assert_eq!((error.kind(), error.code()), expected, "{operation}");
        assert!(error.is_retryable());
        assert_eq!(world.cloud.counter(operation), 1, "{operation}");
    }
}

/// Where the caller's time does not suffice for the next wait, is the last answer told at once?
#[test]
fn deadline() {
    let world = World::new();
    for source in Source::ALL {
        world.cloud.reset();
        let headers = [("retry-after".to_owned(), "3600".to_owned())].into();
        let fault = Fault { times: 9, headers, ..Fault::status(operation(source), 503) };
        world.cloud.fault(fault).unwrap();
        let request = bearer(GRAPH).with_timeout(Some(Duration::from_secs(60)));
        let error = app(&world, source).acquire_token(&request).unwrap_err();
        assert_eq!(error.http_status(), Some(503), "{source:?}: {error}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
        assert_eq!((world.cloud.counter(operation(source)), world.clock.slept()), (1, Duration::ZERO));
    }
}

/// Does a call that is already cancelled send nothing (section 3.5)?
#[test]
fn cancelled_before() {
    let world = World::new();
    for source in Source::ALL {
        let cancel = Cancel::new();
        cancel.cancel();
        let error = app(&world, source).acquire_token(&bearer(GRAPH).with_cancel(cancel)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert!(received(&world, source).is_empty());
    }
}

/// Does a call end at once that is cancelled while the source is silent?
#[test]
fn cancelled_meanwhile() {
    let world = World::new();
    for source in Source::ALL {
        world.cloud.reset();
        world.cloud.fault(Fault { delay_ms: 600_000, ..Fault::on(operation(source)) }).unwrap();
        let (app, cancel) = (app(&world, source), Cancel::new());
        let request = bearer(GRAPH).with_cancel(cancel.clone());
        let error = std::thread::scope(|scope| {
            let call = scope.spawn(|| app.acquire_token(&request).unwrap_err());
            wait_for(|| world.cloud.counter(operation(source)) == 1);
            cancel.cancel();
            call.join().unwrap()
        });
        assert_eq!((error.kind(), error.code()), (ErrorKind::Cancelled, "operation_cancelled"), "{source:?}");
        assert_eq!(world.cloud.counter(operation(source)), 1);
    }
}
