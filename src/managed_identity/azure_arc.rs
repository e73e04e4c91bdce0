//! Bearer tokens from the agent of Azure Arc, which proves who asks by a file that only they can read
//! (managed_identity spec, section 6.3), and says for which user-assigned identity it answers (since_july_2026 spec, section 1).

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::answer::{self, IssuedToken, failed};
use super::{BearerRequest, ManagedIdentityId, ManagedIdentitySource};
use crate::env::{Env, is_shortage};
use crate::error::{Error, ErrorKind, Result, text};
use crate::http::{Client, Policy, Refusal, Request, Response};
use crate::runtime::Call;
use crate::secret::Secret;
use crate::token::is_token;

/// The endpoint, and where the one directory is that keys are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AzureArc {
    pub(super) endpoint: Url,
    keys: PathBuf,
}

/// Which user-assigned identity an answer is for, as an agent says that knows of them.
#[derive(Default, Deserialize)]
struct Echo {
    client_id: Option<String>,
    object_id: Option<String>,
    msi_res_id: Option<String>,
    mi_res_id: Option<String>,
}

const SOURCE: ManagedIdentitySource = ManagedIdentitySource::AzureArc;
const AGENT: &str = "/opt/azcmagent/bin/himds";
const KEYS: &str = "/var/opt/azcmagent/tokens";
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:40342/metadata/identity/oauth2/token";
const MAX_KEY_BYTES: usize = 4096;

impl AzureArc {
    /// Whether the agent is installed, which also works without any environment variable.
    pub(super) fn is_installed(env: &dyn Env) -> bool {
        env.host_path(AGENT).exists()
    }

    pub(super) fn from_env(env: &dyn Env) -> Result<Self> {
        let endpoint = match env.var("IDENTITY_ENDPOINT") {
            Some(_) => answer::endpoint(env, "IDENTITY_ENDPOINT")?,
            None => Url::parse(DEFAULT_ENDPOINT).map_err(|error| Error::internal(error.to_string()))?,
        };
        Ok(Self { endpoint, keys: env.host_path(KEYS) })
    }

    /// The first answer names the file; the second request brings what is in it.
    pub(super) fn acquire(
        &self,
        client: &Client,
        bearer: &BearerRequest<'_>,
        call: &Call,
    ) -> Result<IssuedToken> {
        let mut query = vec![("api-version", "2020-06-01"), ("resource", bearer.resource)];
        // An agent that knows of user-assigned identities takes no notice of mi_res_id.
        query.extend(bearer.id.query("msi_res_id"));
        let url = answer::with_query(&self.endpoint, &query);
        let request = |url| Request::get(url).header("Metadata", "true").header("Accept", "application/json");
        // What the app adds goes into the first request only.
        let extended = answer::with_query(&url, bearer.extra_query);
        let policy = match bearer.id {
            ManagedIdentityId::SystemAssigned => Policy::ManagedIdentity,
            _ => Policy::UserAssigned,
        };
        let asked = request(&extended);
        let first = answer::send(policy, SOURCE, client, &asked, call)?;
        if first.status != 401 {
            return self.read(bearer.id, first, &asked, call);
        }
        let key = read_key(&self.keys, challenge(&first)?)?;
        let request = request(&url).header("Authorization", format!("Basic {}", key.expose()));
        let second = answer::send(policy, SOURCE, client, &request, call)?;
        let status = second.status;
        let token = self.read(bearer.id, second, &request, call);
        match status {
            500.. => token.map_err(|error| error.with_code("service_not_available")),
            _ => token,
        }
    }

    /// The token in an answer to `request`, if it is one for `id`.
    fn read(
        &self,
        id: &ManagedIdentityId,
        response: Response,
        request: &Request<'_>,
        call: &Call,
    ) -> Result<IssuedToken> {
        if *id == ManagedIdentityId::SystemAssigned {
            return answer::read(SOURCE, response, request, &self.endpoint, call.clock.now());
        }
        if response.status == 404 {
            return Err(not_assigned(&response));
        }
        let said = response.json().unwrap_or_default();
        let token = answer::read(SOURCE, response, request, &self.endpoint, call.clock.now())?;
        confirm(id, said)?;
        Ok(token)
    }
}

/// An agent that does not know of user-assigned identities answers with the token of the system-assigned one:
/// refuses a token that it does not say is for `id`.
fn confirm(id: &ManagedIdentityId, said: Echo) -> Result<()> {
    // The resource id has two names; the token must be for this one by each that is there.
    let (asked, named) = match id {
        ManagedIdentityId::SystemAssigned => return Ok(()),
        ManagedIdentityId::ClientId(asked) => (asked, [said.client_id, None]),
        ManagedIdentityId::ObjectId(asked) => (asked, [said.object_id, None]),
        ManagedIdentityId::ResourceId(asked) => (asked, [said.msi_res_id, said.mi_res_id]),
    };
    let mut named = named.into_iter().flatten().filter(|name| !name.trim().is_empty()).peekable();
    let silent = named.peek().is_none();
    let what = match named.find(|name| !name.eq_ignore_ascii_case(asked)) {
        None if silent => "it did not say which identity that is for, and older agents answer for the \
                           system-assigned one; update the agent, or set no id"
            .to_owned(),
        None => return Ok(()),
        Some(other) => format!("it is for {:?}", text::cut(&other, 200)),
    };
    let text = format!(
        "{} did not confirm the user-assigned identity {:?}, so its token was discarded: {what}",
        SOURCE.peer(),
        text::cut(asked, 200)
    );
    let code = "user_assigned_managed_identity_not_confirmed";
    Err(Error::new(ErrorKind::InvalidResponse, code, text).with_http_status(200))
}

/// What 404 means where a user-assigned identity was asked for.
fn not_assigned(response: &Response) -> Error {
    let refusal = Refusal::read(response);
    let text = format!(
        "the user-assigned identity is not assigned to this machine: {} answered HTTP 404: {}",
        SOURCE.peer(),
        refusal.said()
    );
    let error = Error::new(Refusal::kind(404), "managed_identity_request_failed", text).with_http_status(404);
    refusal.details(error)
}

/// The path of the file in `Basic realm=<path>`.
fn challenge(response: &Response) -> Result<&str> {
    let header = response.header("www-authenticate").ok_or_else(|| {
        failed("Azure Arc's agent answered 401 without WWW-Authenticate, so it names no key file".to_owned())
    })?;
    let parts: Vec<&str> = header.split('=').filter(|part| !part.is_empty()).collect();
    match parts[..] {
        [_, path] => Ok(path),
        _ => Err(failed(
            "Azure Arc's agent sent a WWW-Authenticate that is not \"Basic realm=<key file>\"".to_owned(),
        )),
    }
}

/// Reads a key, but only one of the agent's, which are in `directory` on this host: whoever answers must not
/// make this process read, and send, any other file.
fn read_key(directory: &Path, path: &str) -> Result<Secret> {
    let refuse = |why: &str| failed(format!("Azure Arc's key file {path:?} was not used: {why}"));
    let named = Path::new(path);
    let name = named.file_name().filter(|name| Path::new(KEYS).join(name).as_os_str() == named.as_os_str());
    let Some(name) = name else { return Err(refuse(&format!("it is not in {KEYS}"))) };
    let file = &directory.join(name);
    if file.extension().is_none_or(|extension| extension != "key") {
        return Err(refuse("its name does not end in .key"));
    }
    if file.is_symlink() {
        return Err(refuse("it is a symbolic link"));
    }
    // What is wrong with the file itself is not what the agent said.
    let unusable = |why: &str| refuse(why).with_kind(ErrorKind::KeyUnavailable);
    let text = read_text(file).map_err(|(why, passes)| unusable(&why).with_retryable(passes))?;
    let key = text.trim_end_matches(['\r', '\n']);
    // It goes into a header, as tokens do.
    if !is_token(key) {
        return Err(unusable("it does not hold one line of ASCII text"));
    }
    Ok(Secret::new(key))
}

/// The text of a regular file that is short; else, why not, and whether that passes.
fn read_text(path: &Path) -> Result<Zeroizing<String>, (String, bool)> {
    let never = |why: &str| (why.to_owned(), false);
    // It may have been replaced since it was looked at: a link is not followed, and a pipe not waited for.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(never("it is not a regular file"));
    }
    // One more, so that nothing grows and leaves a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * MAX_KEY_BYTES));
    file.take(MAX_KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > MAX_KEY_BYTES {
        return Err(never(&format!("it is longer than {MAX_KEY_BYTES} bytes")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| never("it does not hold one line of ASCII text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn cannot(error: io::Error) -> (String, bool) {
    match is_shortage(&error) {
        true => (format!("it cannot be read now ({error})"), true),
        false => (format!("it cannot be read ({error}); is this user in the group himds, or root?"), false),
    }
}
