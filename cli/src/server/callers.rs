//! Who may ask a server on this host: not browsers, not by another's name, and only with the secret.

use hyper::StatusCode;
use hyper::http::request::Parts;
use mtlspop::Secret;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// What is looked at before anything else of a request.
pub(crate) struct Callers {
    /// Names that the `Host` header may have; none where no browser can come, as on a Unix socket.
    hosts: Option<Vec<String>>,
    secret: Option<Password>,
}

struct Password {
    /// In lower case.
    header: &'static str,
    value: Secret,
    refusal: &'static str,
}

/// Why there is no answer to what was asked.
pub(crate) type Refusal = (StatusCode, &'static str);

impl Callers {
    /// Those who come by one of these names.
    pub(crate) fn by_names(hosts: Vec<String>) -> Self {
        Self { hosts: Some(hosts), secret: None }
    }

    /// Those whom the file system lets through.
    pub(crate) fn of_a_socket() -> Self {
        Self { hosts: None, secret: None }
    }

    /// Of those the ones who know `value`. `refusal` is for the others.
    pub(crate) fn with_secret(mut self, header: &'static str, value: Secret, refusal: &'static str) -> Self {
        self.secret = Some(Password { header, value, refusal });
        self
    }

    /// A secret of 244 bits of the system's random numbers.
    pub(crate) fn new_secret() -> Secret {
        Secret::new(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()))
    }

    /// Who has not the secret is told nothing else.
    pub(crate) fn check(&self, head: &Parts) -> Result<(), Refusal> {
        let all =
            |name: &str| head.headers.get_all(name).iter().map(|value| value.as_bytes()).collect::<Vec<_>>();
        // A name that was made to lead here is another one (DNS rebinding); and no browser has business here.
        let ours = match (&all("host")[..], &self.hosts) {
            ([host], Some(ours)) => ours.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(host)),
            ([_], None) => true,
            _ => false,
        };
        if !ours || head.uri.authority().is_some() {
            return Err((StatusCode::FORBIDDEN, "the Host header does not name this server"));
        }
        if head.headers.keys().any(|name| is_of_browsers(name.as_str())) {
            return Err((StatusCode::FORBIDDEN, "browsers are not answered here"));
        }
        let Some(secret) = &self.secret else { return Ok(()) };
        match all(secret.header)[..] {
            [given] if bool::from(given.ct_eq(secret.value.expose().as_bytes())) => Ok(()),
            _ => Err((StatusCode::UNAUTHORIZED, secret.refusal)),
        }
    }
}

/// Browsers send all of `Sec-Fetch-*` to loopback; Node's fetch, which is none, the mode alone.
fn is_of_browsers(name: &str) -> bool {
    name == "origin" || (name.starts_with("sec-fetch-") && name != "sec-fetch-mode")
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn check(callers: &Callers, target: &str, headers: &[(&str, &str)]) -> Result<(), u16> {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        callers.check(&request.body(()).unwrap().into_parts().0).map_err(|(status, _)| status.as_u16())
    }

    /// Is who has the secret let through, came by one of the names and is no browser, and nobody else?
    #[test]
    fn callers() {
        let value = Callers::new_secret();
        let secret = value.expose();
        let names = vec!["127.0.0.1:8080".to_owned()];
        let callers = Callers::by_names(names).with_secret("x-secret", value.clone(), "no");
        let (host, good) = (("host", "127.0.0.1:8080"), ("x-secret", secret));
        assert_eq!(check(&callers, "/x", &[host, good]), Ok(()));
        assert_eq!(check(&callers, "/x", &[host, good, ("Sec-Fetch-Mode", "cors")]), Ok(()));
        assert_eq!(secret.len(), 64);
        for (headers, status) in [
            (vec![good], 403),
            (vec![("host", "rebound.example:8080"), good], 403),
            (vec![("host", "localhost:8080"), good], 403),
            (vec![host, host, good], 403),
            (vec![host, good, ("origin", "null")], 403),
            (vec![host, good, ("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate")], 403),
            (vec![host, good, ("Sec-Fetch-Dest", "empty")], 403),
            (vec![host], 401),
            (vec![host, ("x-secret", "")], 401),
            (vec![host, ("x-secret", &secret[..63])], 401),
            (vec![host, good, good], 401),
        ] {
            assert_eq!(check(&callers, "/x", &headers), Err(status), "{headers:?}");
        }
        assert_eq!(check(&callers, "http://127.0.0.1:8080/x", &[host, good]), Err(403));

        let callers = Callers::of_a_socket();
        assert_eq!(check(&callers, "/x", &[("host", "any")]), Ok(()));
        assert_eq!(check(&callers, "/x", &[]), Err(403));
        assert_eq!(check(&callers, "/x", &[("host", "any"), ("origin", "null")]), Err(403));
    }
}
