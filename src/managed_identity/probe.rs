//! Is there an IMDS, and which (managed_identity spec, sections 4.4, 4.6 and 4.7; since_july_2026 spec, section 3)?

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::imds_v2::TURNED_OFF;
use super::{ManagedIdentityCapabilities, ManagedIdentityId, ManagedIdentitySource};
use crate::error::Result;
use crate::http::{Client, Imds, Policy, Refusal, Request, Response, send_with_retry};
use crate::key::MtlsBindingStrength;
use crate::runtime::{Call, Memory};

/// What was found out, by the address of the metadata service. Apps of a process share this.
pub(crate) struct Probed(Memory<ManagedIdentityCapabilities>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Compute {
    os_type: String,
    security_profile: SecurityProfile,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecurityProfile {
    security_type: String,
}

/// The metadata service may be starting, or its host busy: whatever is less than IMDSv2 is soon forgotten.
const LESS_FOR: Duration = Duration::from_secs(60);

const V1_PATH: &str = "/metadata/identity/oauth2/token";
const V2_PATH: &str = "/metadata/identity/getplatformmetadata";
const COMPUTE_PATH: &str = "/metadata/instance/compute";

impl Probed {
    pub(crate) fn new() -> Self {
        Self(Memory::new())
    }

    /// What `imds` can do: what is known, else what it answers. One caller asks for all who wait; a
    /// caller whose time is over or who gives up is no answer for the others.
    pub(crate) fn capabilities(
        &self,
        imds: &Imds,
        client: &Client,
        id: &ManagedIdentityId,
        attempt: Duration,
        call: &Call,
    ) -> Result<ManagedIdentityCapabilities> {
        let probe = || {
            let prober = Prober { imds, client, attempt, call };
            match prober.probe(V2_PATH, ("cred-api-version", "2.0"), id)? {
                None => Ok((prober.has_v2(), None)),
                Some(why) => Ok((prober.without_v2(why, id)?, Some(LESS_FOR))),
            }
        };
        Ok(self.0.recall_or(imds.cache_name(), call, probe)?.0)
    }

    /// The same while IMDSv2 is turned off: it is not probed. What is known of the host with IMDSv2 is kept for when
    /// it is turned on again.
    pub(crate) fn capabilities_without_v2(
        &self,
        imds: &Imds,
        client: &Client,
        id: &ManagedIdentityId,
        attempt: Duration,
        call: &Call,
    ) -> Result<ManagedIdentityCapabilities> {
        let probe = || {
            let prober = Prober { imds, client, attempt, call };
            Ok((prober.v1_alone(id)?, Some(LESS_FOR)))
        };
        let known = self.0.known(imds.cache_name(), call).filter(|known| known.source.is_some());
        let found = match known {
            Some(known) => known,
            None => self.0.recall_or(&format!("{} without IMDSv2", imds.cache_name()), call, probe)?.0,
        };
        Ok(found.with_v2_turned_off())
    }
}

struct Prober<'a> {
    imds: &'a Imds,
    client: &'a Client,
    attempt: Duration,
    call: &'a Call,
}

impl Prober<'_> {
    fn has_v2(&self) -> ManagedIdentityCapabilities {
        let place = self.imds.place();
        ManagedIdentityCapabilities {
            source: Some(ManagedIdentitySource::Imds),
            strength: MtlsBindingStrength::Software,
            detection: format!(
                "IMDSv2 answered its probe {place}, and the environment names no other source"
            ),
            limit: "it vouches for the key no further".to_owned(),
            issues_certificates: true,
            error: None,
        }
    }

    /// What is there instead, after `v2` was found wrong with IMDSv2.
    fn without_v2(&self, v2: String, id: &ManagedIdentityId) -> Result<ManagedIdentityCapabilities> {
        let place = self.imds.place();
        let v1 = match self.probe(V1_PATH, ("api-version", "2018-02-01"), id)? {
            None => {
                return Ok(ManagedIdentityCapabilities {
                    source: Some(ManagedIdentitySource::Imds),
                    strength: self.strength_by_compute()?,
                    detection: format!(
                        "IMDSv1 answered its probe {place}, IMDSv2 did not ({v2}), and the environment names no other source"
                    ),
                    limit: format!("it has IMDSv1 only, which issues no certificates (IMDSv2: {v2})"),
                    issues_certificates: false,
                    error: None,
                });
            }
            Some(why) => why,
        };
        Ok(self.nothing(format!("IMDSv2: {v2}; IMDSv1: {v1}")))
    }

    /// What there is where IMDSv2 is not to be asked.
    fn v1_alone(&self, id: &ManagedIdentityId) -> Result<ManagedIdentityCapabilities> {
        let place = self.imds.place();
        if let Some(v1) = self.probe(V1_PATH, ("api-version", "2018-02-01"), id)? {
            return Ok(self.nothing(format!("IMDSv2: not asked; IMDSv1: {v1}; {TURNED_OFF}")));
        }
        Ok(ManagedIdentityCapabilities {
            source: Some(ManagedIdentitySource::Imds),
            strength: MtlsBindingStrength::None,
            detection: format!(
                "IMDSv1 answered its probe {place}, IMDSv2 was not asked, and the environment names no other source"
            ),
            limit: TURNED_OFF.to_owned(),
            issues_certificates: false,
            error: None,
        })
    }

    /// No source, for these `reasons`.
    fn nothing(&self, reasons: String) -> ManagedIdentityCapabilities {
        let place = self.imds.place();
        self.call.log.warn("managed_identity", || format!("no source of managed identity: {reasons}"));
        ManagedIdentityCapabilities {
            source: None,
            strength: MtlsBindingStrength::None,
            detection: format!(
                "the environment names no source, and no instance metadata service answered {place}"
            ),
            limit: reasons.clone(),
            issues_certificates: false,
            error: Some(reasons),
        }
    }

    /// Why the probe failed; `None` where it succeeded. A route that exists refuses a request without the
    /// header `Metadata` with 400, one that does not with 404: nothing but 400 will do.
    fn probe(
        &self,
        path: &str,
        version: (&'static str, &'static str),
        id: &ManagedIdentityId,
    ) -> Result<Option<String>> {
        let mut query = vec![version];
        query.extend(id.query("mi_res_id"));
        let url = self.imds.url(path, &query);
        let request = Request::get(&url)
            .header("x-ms-client-request-id", self.call.correlation_id.as_str())
            .header("Accept", "application/json");
        Ok(match self.send(&url, request, Policy::ImdsProbe)? {
            Ok(response) if response.status == 400 => None,
            Ok(response) => {
                let refusal = Refusal::read(&response);
                Some(format!("HTTP {}: {}", response.status, refusal.said()))
            }
            Err(why) => Some(why),
        })
    }

    /// Section 4.7, for hosts that have IMDSv1 only.
    fn strength_by_compute(&self) -> Result<MtlsBindingStrength> {
        let url = self.imds.url(COMPUTE_PATH, &[("api-version", "2021-02-01")]);
        let request = Request::get(&url).header("Metadata", "true");
        let answer = self.send(&url, request, Policy::Imds)?;
        Ok(answer.map_or(MtlsBindingStrength::None, |response| strength(&response)))
    }

    /// Sends it. A failure is a text, unless it is the call's own: that its time is over or it was cancelled.
    fn send(
        &self,
        url: &Url,
        request: Request<'_>,
        policy: Policy,
    ) -> Result<std::result::Result<Response, String>> {
        let call = self.call;
        call.log.info("managed_identity", || format!("probing {}", url.path()));
        let outcome = send_with_retry(self.client, &request.attempt_timeout(self.attempt), call, policy);
        let end = match &outcome {
            Err(error) => call.end(error),
            Ok(_) => call.check().err(),
        };
        if let Some(end) = end {
            return Err(end);
        }
        if call.was_cut_short() {
            return Err(call.timed_out().context("no time to ask the metadata service again"));
        }
        Ok(outcome.map_err(|error| error.message().to_owned()))
    }
}

fn strength(response: &Response) -> MtlsBindingStrength {
    let trusted = |compute: &Compute| {
        let security = &compute.security_profile.security_type;
        compute.os_type.eq_ignore_ascii_case("Windows")
            && ["TrustedLaunch", "ConfidentialVM"].iter().any(|known| security.eq_ignore_ascii_case(known))
    };
    let compute = response.json().ok().filter(|_| response.status == 200);
    match compute.as_ref().is_some_and(trusted) {
        true => MtlsBindingStrength::Software,
        false => MtlsBindingStrength::None,
    }
}
