//! What an acquisition took and how it ended, as MSAL's OpenTelemetry instruments (confidential_client spec, 9.2).

use std::time::{Duration, Instant};

use super::TokenRequest;
use super::core::{Core, Identity};
use super::result::{CacheLevel, Metadata, Token, TokenSource};
use crate::clock::unix_seconds;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::metrics::{Metric, MetricKind};
use crate::runtime::Call;
use crate::token::{Api, CacheRefreshReason, CallerSdk, TokenType};

/// What is known of an acquisition besides its outcome.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) reason: CacheRefreshReason,
    pub(super) in_http: Duration,
    pub(super) in_cache: Duration,
}

/// Who asked for what.
pub(super) struct Subject<'a> {
    pub(super) api: Api,
    pub(super) token_type: TokenType,
    pub(super) caller: CallerSdk<'a>,
}

impl Seen {
    /// Adds what `call` spent.
    pub(super) fn spent(&mut self, call: &Call) {
        self.in_http += call.spent().in_http();
        self.in_cache += call.spent().in_cache();
    }

    /// For a token that this acquisition did not find in memory.
    pub(super) fn metadata(&self, source: TokenSource, level: CacheLevel, call: &Call) -> Metadata {
        Metadata {
            token_source: source,
            cache_level: level,
            cache_refresh_reason: self.reason,
            duration_total: call.elapsed(),
            duration_in_http: self.in_http,
            duration_in_cache: self.in_cache,
        }
    }
}

/// Whether the instruments of MSAL's second generation replace those of the first.
pub(super) fn extended(env: &dyn Env) -> bool {
    let value = env.var("MSAL_ENABLE_EXTENDED_TOKEN_METRICS");
    value.is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
}

impl Core {
    /// Who asks for what with `request`.
    pub(super) fn subject<'a>(&'a self, request: &'a TokenRequest) -> Subject<'a> {
        let (api, caller) = match &self.identity {
            Identity::ManagedIdentity(identity) => (identity.api(), identity.caller(request)),
            Identity::ConfidentialClient(client) => (Api::AcquireTokenForClient, client.caller(request)),
        };
        Subject { api, token_type: request.token_type(), caller }
    }

    /// Reports an acquisition that began at `started`.
    pub(super) fn measure(
        &self,
        subject: &Subject<'_>,
        result: &Result<Token>,
        seen: &Seen,
        started: Instant,
    ) {
        let took = self.clock.monotonic().saturating_duration_since(started);
        let token_type = subject.token_type.telemetry_number().to_string();
        let version_platform = format!("{VERSION},{PLATFORM}");
        let common = [("ApiId", subject.api.name()), ("CacheRefreshReason", seen.reason.name())];
        let platform = [("MsalVersion", VERSION), ("Platform", PLATFORM)];
        let caller = ("CallerSdkId", subject.caller.id);
        let kind = ("TokenType", token_type.as_str());
        let both = ("MsalVersionPlatform", version_platform.as_str());
        let histogram = |name, unit, value, tags: &[&[Tag<'_>]]| {
            self.record(name, MetricKind::Histogram, unit, value, &tags.concat());
        };
        let counter =
            |name, tags: &[&[Tag<'_>]]| self.record(name, MetricKind::Counter, "1", 1, &tags.concat());
        let (source, level) = match result {
            Ok(token) => (token.source().name(), token.metadata().cache_level.name()),
            Err(_) => ("", CacheLevel::None.name()),
        };
        let found = [("TokenSource", source), ("CacheLevel", level)];
        match result {
            Ok(_) => counter("MsalSuccess", &[&platform, &common, &found, &[caller, kind]]),
            Err(error) => {
                let raw = raw_error_code(error);
                let code = [("ErrorCode", error.code()), ("RawStsErrorCode", &raw)];
                counter("MsalFailure", &[&platform, &common, &code, &[caller, kind]]);
            }
        }
        if self.extended_metrics {
            let end = match result {
                Ok(_) => [("ErrorCode", ""), ("Succeeded", "true")],
                Err(error) => [("ErrorCode", error.code()), ("Succeeded", "false")],
            };
            histogram(
                "MsalTotalDurationV2.1A",
                "ms",
                millis(took),
                &[&[both], &common, &found, &[kind], &end],
            );
        } else if result.is_ok() {
            histogram("MsalTotalDuration.1A", "ms", millis(took), &[&platform, &common, &found, &[kind]]);
        }
        if !seen.in_http.is_zero() {
            let took = millis(seen.in_http);
            let api = common[0];
            if self.extended_metrics {
                let status = http_status(result).to_string();
                let tags = [both, api, kind, ("HttpStatusCode", status.as_str())];
                histogram("MsalDurationInHttpV2.1A", "ms", took, &[&tags]);
            } else {
                histogram("MsalDurationInHttp.1A", "ms", took, &[&platform, &[api, kind]]);
            }
        }
        let Ok(token) = result else { return };
        match token.metadata().cache_level {
            CacheLevel::L1Cache => {
                histogram("MsalDurationInL1CacheInUs.1B", "us", micros(took), &[&platform, &common, &found]);
            }
            _ if !seen.in_cache.is_zero() => {
                histogram("MsalDurationInL2Cache.1A", "ms", millis(seen.in_cache), &[&platform, &common]);
            }
            _ => {}
        }
        let left = unix_seconds(token.expires_on()) - unix_seconds(self.clock.now());
        histogram("MsalRemainingTokenLifetime.1A", "s", left, &[&[both], &common, &found, &[kind]]);
    }

    fn record(&self, name: &'static str, kind: MetricKind, unit: &'static str, value: i64, tags: &[Tag<'_>]) {
        self.metrics.record(&Metric { name, kind, unit, value, tags });
    }
}

type Tag<'a> = (&'static str, &'a str);

const VERSION: &str = env!("CARGO_PKG_VERSION");
const PLATFORM: &str = std::env::consts::OS;

/// What the token service called it: the first AADSTS number, where there is one.
fn raw_error_code(error: &Error) -> String {
    error.aadsts_codes().first().map_or_else(String::new, u32::to_string)
}

fn http_status(result: &Result<Token>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(error) => error.http_status().unwrap_or(0),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
