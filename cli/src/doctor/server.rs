//! The way to one server: proxy, name, connection, TLS, the certificate that it asks for or not, its answer and its clock.

use std::time::Duration;

use mtlspop::{App, CertificateSummary, Look, Server, ServerRole};

use super::advice::{PROXY, advice};
use super::report::{Report, Status};
use crate::times::{in_words, seconds};

/// Services take assertions and tokens of clocks that are wrong by five minutes, not more.
const TOO_FAR: i64 = 300;
/// By so much a clock is not right that is kept right.
const FAR: i64 = 30;

/// How far it was got to.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Nothing,
    Name,
    Connection,
    Tls,
    Answer,
}

pub(super) fn examine(app: &App, server: &Server, pop: bool, limit: Duration, report: &mut Report) {
    let look = app.look_at(server, limit);
    let reached = reached(&look);
    let mut add = |name, status, detail: String, advice: Option<String>| {
        report.add(name, Some(server.host()), status, detail, advice);
    };
    let failure = |add: &mut dyn FnMut(&'static str, Status, String, Option<String>), name| {
        if let Some(error) = &look.error {
            add(name, Status::Fault, error.message().to_owned(), Some(advice(error)));
        }
    };
    match &look.route {
        Err(error) => add("proxy", Status::Fault, error.message().to_owned(), Some(PROXY.to_owned())),
        Ok(why) => {
            let way = look.proxy.as_deref().map_or("none".to_owned(), |proxy| format!("through {proxy}"));
            add("proxy", Status::Ok, format!("{way}: {why}"), None);
        }
    }
    match &look.addresses {
        _ if look.route.is_err() => {}
        None => add("dns", Status::Skipped, "the proxy looks the name up".to_owned(), None),
        Some(Ok(found)) => {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            add("dns", Status::Ok, found.join(", "), None);
        }
        Some(Err(error)) => add(
            "dns",
            Status::Fault,
            format!("the name cannot be resolved: {error}"),
            Some(
                "see that the name is right and that this host's DNS knows it; where only a proxy does, name that in HTTPS_PROXY"
                    .to_owned(),
            ),
        ),
    }
    if reached < Reached::Connection {
        if reached == Reached::Name {
            failure(&mut add, "connection");
        }
        return;
    }
    add("connection", Status::Ok, format!("{} ms to the end of the answer", look.took.as_millis()), None);
    let is_tls = look.tls.is_some() || !look.chain.is_empty();
    if reached == Reached::Connection {
        failure(&mut add, "tls");
        return;
    }
    let rejected = look.error.as_ref().filter(|error| error.code() == "client_certificate_rejected");
    if is_tls {
        let version = look.tls.map_or("TLS", |(version, _)| version.as_str());
        add("tls", Status::Ok, format!("{version}; {}", shown(&look.chain)), None);
    }
    match (rejected, look.tls) {
        (Some(error), _) => {
            add("client-certificate", Status::Fault, error.message().to_owned(), Some(advice(error)));
            return;
        }
        (None, Some((_, asked))) => client_certificate(server, &look, asked, pop, &mut add),
        (None, None) => {}
    }
    match (&look.error, look.status) {
        (Some(error), _) if server.role == ServerRole::Authority && look.status.is_some() => {
            add("tenant", Status::Fault, error.message().to_owned(), Some(advice(error)));
        }
        (Some(error), _) => add("answer", Status::Fault, error.message().to_owned(), Some(advice(error))),
        (None, _) if server.role == ServerRole::Authority => {
            add("tenant", Status::Ok, "the authority knows it".to_owned(), None);
        }
        (None, Some(status @ 500..)) => add(
            "answer",
            Status::Warning,
            format!("HTTP {status}"),
            Some("the service, or a proxy before it, is out of order: try again later".to_owned()),
        ),
        (None, Some(status)) => {
            add("answer", Status::Ok, format!("HTTP {status}, to a request without a token"), None)
        }
        (None, None) => {}
    }
    if let Some(ahead) = look.clock_ahead {
        clock(ahead, &mut add);
    }
}

fn reached(look: &Look) -> Reached {
    let code = look.error.as_ref().map(mtlspop::Error::code);
    match () {
        () if look.route.is_err() || matches!(look.addresses, Some(Err(_))) => Reached::Nothing,
        () if look.status.is_some() || look.tls.is_some() => Reached::Answer,
        () if code == Some("client_certificate_rejected") => Reached::Tls,
        () if !look.chain.is_empty() && code != Some("tls_error") => Reached::Tls,
        () if code == Some("tls_error") => Reached::Connection,
        () => Reached::Name,
    }
}

fn client_certificate(
    server: &Server,
    look: &Look,
    asked: bool,
    pop: bool,
    add: &mut dyn FnMut(&'static str, Status, String, Option<String>),
) {
    let is_wanted = server.is_shown_certificate() || (pop && server.role == ServerRole::Resource);
    let (status, detail, advice) = match (asked, is_wanted) {
        (true, _) if server.is_shown_certificate() => (Status::Ok, "asked for, and taken", None),
        (true, _) => (Status::Ok, "asked for; there was none to show", None),
        (false, true) if look.may_renegotiate => {
            (Status::Ok, "not asked for yet: this host asks in a renegotiation, for a bound token", None)
        }
        (false, true) => (
            Status::Fault,
            "the server did not ask for it, neither in TLS 1.3 nor in TLS 1.2: a bound token comes to nothing there",
            Some(
                "use a host that asks for certificates (for Microsoft Graph mtlstb.graph.microsoft.com), or have what ends TLS before the API ask \
                 for them",
            ),
        ),
        (false, false) => (Status::Ok, "not asked for, and none is needed", None),
    };
    add("client-certificate", status, detail.to_owned(), advice.map(str::to_owned));
}

fn clock(ahead: i64, add: &mut dyn FnMut(&'static str, Status, String, Option<String>)) {
    let advice = "set the clock, and have it kept right: timedatectl set-ntp true, or chrony";
    let detail = match ahead {
        0 => "the same second".to_owned(),
        1.. => format!("this host is {ahead} s ahead of the server"),
        _ => format!("this host is {} s behind the server", ahead.unsigned_abs()),
    };
    let (status, advice) = match ahead.abs() {
        off if off > TOO_FAR => (Status::Fault, Some(advice)),
        off if off > FAR => (Status::Warning, Some(advice)),
        _ => (Status::Ok, None),
    };
    add("clock", status, detail, advice.map(str::to_owned));
}

/// What a server showed.
fn shown(chain: &[CertificateSummary]) -> String {
    let Some(own) = chain.first() else { return "no certificate was seen".to_owned() };
    let issuers = chain.len() - 1;
    format!(
        "{}, issued by {}, valid until {}, {issuers} issuers shown with it",
        own.subject,
        own.issuer,
        in_words(seconds(own.not_after))
    )
}
