//! The region of this host, from its instance metadata service (confidential_client spec, section 1.5).

use std::time::Duration;

use serde::Deserialize;

use super::region::{Region, RegionDetails, RegionOutcome, RegionSource};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Client, Imds, Policy, Pool, Refusal, Request, Response, send_with_retry};
use crate::runtime::{Call, Memory};

/// The regions that were found out, by the address of the metadata service. A region is a fact of the
/// host: apps share this.
pub(crate) struct RegionMemory(Memory<Detected>);

/// A region, or why there is none.
type Detected = Result<Region, String>;

#[derive(Deserialize)]
struct Compute {
    location: Option<String>,
}

#[derive(Deserialize)]
struct Versions {
    #[serde(rename = "newest-versions", default)]
    newest: Vec<String>,
}

const PATH: &str = "/metadata/instance/compute";
const VERSION: &str = "2021-02-01";
/// For everything together. Off Azure nobody answers, and the token is not to wait for that.
const BUDGET: Duration = Duration::from_secs(2);

impl RegionMemory {
    pub(crate) fn new() -> Self {
        Self(Memory::new())
    }

    /// The region, or why the global endpoint is to be asked; fails only with the call itself.
    pub(super) fn detect(&self, imds: &Imds, pool: &Pool, call: &Call) -> Result<RegionDetails> {
        let fetch = |call: &Call| ask(imds, &*pool.direct()?, call).map(Ok);
        let assume = |error: Error| {
            call.log.warn("authority", || {
                format!("no region, so the global endpoint is asked: {error} [{}]", call.correlation_id)
            });
            Ok(Err(error.message().to_owned()))
        };
        let (detected, asked) = self.0.get_or_assume(imds.cache_name(), call, BUDGET, fetch, assume)?;
        Ok(match detected {
            Ok(region) => RegionDetails {
                used: Some(region),
                outcome: RegionOutcome::AutodetectSuccess,
                source: if asked { RegionSource::Imds } else { RegionSource::Cache },
                error: None,
            },
            Err(error) => RegionDetails {
                used: None,
                outcome: RegionOutcome::FallbackToGlobal,
                source: RegionSource::FailedAutoDiscovery,
                error: Some(error),
            },
        })
    }
}

/// A service that does not know our version tells which ones it knows.
fn ask(imds: &Imds, client: &Client, call: &Call) -> Result<Region> {
    let get = |query: &[(&str, &str)]| {
        let url = imds.url(PATH, query);
        let request = Request::get(&url).header("Metadata", "true");
        send_with_retry(client, &request, call, Policy::Region)
    };
    let response = get(&[("api-version", VERSION)])?;
    if response.status != 400 {
        return location(&response);
    }
    let versions: Versions = match get(&[])? {
        response if response.status == 400 => response.json().ok(),
        _ => None,
    }
    .ok_or_else(|| failed(format!("it knows no version {VERSION} and does not tell which it knows")))?;
    let version = versions.newest.first().ok_or_else(|| failed("it names no version".to_owned()))?;
    location(&get(&[("api-version", version)])?)
}

fn location(response: &Response) -> Result<Region> {
    if response.status != 200 {
        let refusal = Refusal::read(response);
        return Err(failed(format!("it answered HTTP {}: {}", response.status, refusal.said())));
    }
    let unreadable = || failed("its answer is not the JSON expected".to_owned());
    let compute: Compute = response.json().map_err(|_| Refusal::explain(unreadable(), response))?;
    let location = compute.location.ok_or_else(|| failed("its answer has no location".to_owned()))?;
    // Not the parser's words: they tell a caller what to write.
    Region::parse(&location).map_err(|_| {
        let shown: String = location.chars().take(40).collect();
        failed(format!("the location it gave, {shown:?}, is not the name of a region"))
    })
}

fn failed(why: String) -> Error {
    let message = format!("the instance metadata service did not tell the region: {why}");
    Error::new(ErrorKind::InvalidResponse, "region_discovery_failed", message)
}

#[cfg(test)]
mod tests {
    use super::super::region::NASTY;
    use super::*;

    fn answer(body: String) -> Response {
        Response { status: 200, headers: Vec::new(), body: body.into_bytes().into(), tls: None }
    }

    /// Does a location become a region only if nothing but `[a-z0-9]` is left of it (section 1.5)?
    #[test]
    fn nothing_else_reaches_a_host_name() {
        let read = |location: &str| location_of(serde_json::json!({ "location": location }).to_string());
        for text in NASTY {
            assert_eq!(read(text).unwrap_err().code(), "region_discovery_failed", "{text:?}");
        }
        assert_eq!(read("East US 2").unwrap().as_str(), "eastus2");
        for body in ["", "[]", "{}", r#"{"location":null}"#, r#"{"location":7}"#, "<html>"] {
            assert_eq!(location_of(body.to_owned()).unwrap_err().code(), "region_discovery_failed");
        }
    }

    fn location_of(body: String) -> Result<Region> {
        location(&answer(body))
    }
}
