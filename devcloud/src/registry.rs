//! The APIs that tokens are for: Microsoft's, those of the configuration, and without one any that a team may have registered.

use std::path::Path;

use serde::Deserialize;

use crate::directory::{self, APPS};

/// What `--config` has, in TOML.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The APIs of a team's own. With them no other audience gets a token, but for Microsoft's.
    #[serde(default, rename = "resource")]
    pub resources: Vec<Resource>,
}

/// An API as it is registered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// Its application ID URI: what scopes name, and `aud` of its tokens.
    pub audience: String,
    /// `roles` of its tokens: what every client has been granted.
    #[serde(default)]
    pub roles: Vec<String>,
    /// `ver` of its tokens, 1 or 2: who issues them, and what they call the client.
    #[serde(default = "two")]
    pub token_version: u8,
    /// Whether it takes bound tokens; if not, asking for one is AADSTS392196.
    #[serde(default = "yes")]
    pub mtls_pop: bool,
}

fn two() -> u8 {
    2
}

fn yes() -> bool {
    true
}

impl Config {
    /// Reads a configuration. The error says what is wrong, and where.
    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
        let config: Config = toml::from_str(&text).map_err(|error| named(&error))?;
        for resource in &config.resources {
            if !matches!(resource.token_version, 1 | 2) {
                return Err(named(&format!("token_version of {} is 1 or 2", resource.audience)));
            }
            if resource.audience.is_empty() || resource.audience.ends_with('/') {
                return Err(named(&format!(
                    "audience {:?} is empty or ends with a slash",
                    resource.audience
                )));
            }
        }
        Ok(config)
    }
}

/// Which APIs there are.
#[derive(Debug, Default)]
pub(crate) struct Registry(pub(crate) Config);

impl Registry {
    /// The resource `name`: a trailing slash makes no difference. Without a configuration it may be any that could be
    /// registered: `api://` with a name, an https URL, or the client id of an application; but for tests of AADSTS500011
    /// there is no `api://nothing`, and nothing below `.invalid` (RFC 6761, 6.4).
    pub(crate) fn find(&self, name: &str) -> Option<Resource> {
        let name = name.trim_end_matches('/');
        if let Some(own) = self.0.resources.iter().find(|own| own.audience == name) {
            return Some(own.clone());
        }
        let resource = |audience: &str, token_version, roles| {
            Some(Resource { audience: audience.to_owned(), roles, token_version, mtls_pop: true })
        };
        if directory::is_exchange(name) {
            return directory::exchange(name).and_then(|audience| resource(audience, 2, Vec::new()));
        }
        // Their tokens are of version 1, whatever version the token endpoint is.
        if let Some(known) = directory::resource(name) {
            return resource(known, 1, vec!["Devcloud.Access.All".to_owned()]);
        }
        let any = self.0.resources.is_empty() && is_registrable(name);
        any.then(|| resource(name, 2, vec!["Devcloud.Access.All".to_owned()])).flatten()
    }
}

fn is_registrable(name: &str) -> bool {
    if let Some(name) = name.strip_prefix("api://") {
        return !name.is_empty() && name != "nothing";
    }
    if let Some(rest) = name.strip_prefix("https://") {
        let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
        return !host.is_empty() && host != "invalid" && !host.ends_with(".invalid");
    }
    APPS.iter().any(|app| app.client_id.eq_ignore_ascii_case(name))
}
