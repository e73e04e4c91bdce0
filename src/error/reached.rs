//! How far a call for a token came before it failed: the endpoint, the region, and the time it took.

use std::time::Duration;

use url::Url;

use super::{Error, text};

/// What is known of it; as of a token, where there is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Reached {
    token_endpoint: Option<String>,
    region: Option<Region>,
    duration_total: Duration,
    duration_in_http: Duration,
    duration_in_cache: Duration,
}

#[derive(Clone, Debug)]
struct Region {
    used: Option<String>,
    /// The number of the outcome, which rooms above this one have a name for.
    outcome: i32,
    error: Option<String>,
}

impl Error {
    /// The URL of the token endpoint that was asked, or was about to be; `None` where it was not known yet.
    pub fn token_endpoint(&self) -> Option<&str> {
        self.0.reached.token_endpoint.as_deref()
    }

    /// The Azure region whose endpoint that is.
    pub fn region(&self) -> Option<&str> {
        self.0.reached.region.as_ref()?.used.as_deref()
    }

    /// Why the region could not be detected, where it could not.
    pub fn region_error(&self) -> Option<&str> {
        self.0.reached.region.as_ref()?.error.as_deref()
    }

    /// What the call took. Zero where it failed before anything was looked for.
    pub fn duration_total(&self) -> Duration {
        self.0.reached.duration_total
    }

    /// What of it was spent in HTTP, retries included and the waits between them not.
    pub fn duration_in_http(&self) -> Duration {
        self.0.reached.duration_in_http
    }

    /// What of it was spent in the caller's store.
    pub fn duration_in_cache(&self) -> Duration {
        self.0.reached.duration_in_cache
    }

    pub(crate) fn region_outcome_number(&self) -> Option<i32> {
        self.0.reached.region.as_ref().map(|region| region.outcome)
    }

    /// Sets the endpoint, without what a URL may hide, unless it is known: of a credential that asks for a token
    /// itself, the inner call is the one that failed.
    pub(crate) fn with_token_endpoint(self, endpoint: &Url) -> Self {
        if self.0.reached.token_endpoint.is_some() {
            return self;
        }
        let mut endpoint = endpoint.clone();
        endpoint.set_query(None);
        endpoint.set_fragment(None);
        // These fail for URLs that can have neither.
        let _ = (endpoint.set_username(""), endpoint.set_password(None));
        self.change(|e| e.reached.token_endpoint = Some(endpoint.into()))
    }

    /// Sets the region of the endpoint, unless it is known.
    pub(crate) fn with_region(self, used: Option<&str>, outcome: i32, error: Option<&str>) -> Self {
        if self.0.reached.region.is_some() {
            return self;
        }
        let (used, error) =
            (used.map(str::to_owned), error.map(|error| text::cut(error, super::LONGEST_MESSAGE)));
        self.change(|e| e.reached.region = Some(Region { used, outcome, error }))
    }

    /// Sets what the call of the caller took, however many it is inside.
    pub(crate) fn with_durations(self, total: Duration, in_http: Duration, in_cache: Duration) -> Self {
        self.change(|e| {
            e.reached.duration_total = total;
            e.reached.duration_in_http = in_http;
            e.reached.duration_in_cache = in_cache;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is the first endpoint kept, and no query or password of a URL?
    #[test]
    fn the_inner_endpoint_counts() {
        let url = |text: &str| Url::parse(text).unwrap();
        let error = Error::argument("x")
            .with_token_endpoint(&url("https://user:password@one.example/t/token?key=hidden#f"))
            .with_region(None, 5, Some("nobody\nknows"))
            .with_token_endpoint(&url("https://two.example/"))
            .with_region(Some("eastus"), 6, None);
        assert_eq!(error.token_endpoint(), Some("https://one.example/t/token"));
        let region = (error.region(), error.region_outcome_number(), error.region_error());
        assert_eq!(region, (None, Some(5), Some("nobody knows")));
    }
}
