//! The services other than IMDS that vouch for managed identities: App Service, Azure Arc, Cloud Shell, ...

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use clap::ValueEnum;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::directory::{self, MANAGED_IDENTITIES, ManagedIdentity, SYSTEM_ASSIGNED_CLIENT_ID};
use crate::exchange::{Answer, Pairs, Request, new_id};
use crate::files;
use crate::hosts::Service;
use crate::issuer::{Grant, Issuer};
use crate::pki::hex;
use crate::registry::{Registry, Resource};

/// A service of the host, other than IMDS, that hands out Bearer tokens of managed identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Azure App Service and Azure Functions.
    AppService,
    /// Azure Arc.
    AzureArc,
    /// Azure Cloud Shell.
    CloudShell,
    /// Azure Machine Learning.
    MachineLearning,
    /// Azure Service Fabric.
    ServiceFabric,
}

/// What Azure Arc's agent knows of user-assigned identities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ArcAgent {
    /// It answers for the one that is named, and says so.
    #[default]
    Current,
    /// Nothing: whoever is named, it answers for the system-assigned one.
    Legacy,
}

/// What they remember, and what is this cloud's own.
pub(crate) struct Sources {
    clock: Clock,
    issuer: Arc<Issuer>,
    registry: Arc<Registry>,
    arc_agent: ArcAgent,
    /// The first part of every path, so that no two clouds have an endpoint in common.
    instance: String,
    /// What a workload proves with that it is on this host.
    secret: String,
    /// Where Azure Arc's keys are written.
    arc_tokens: PathBuf,
    /// Azure Arc's keys that have not been used yet, and their files.
    arc_keys: Mutex<HashMap<String, PathBuf>>,
    /// The tokens that Service Fabric hands out until they expire: token and end, by what was asked.
    fabric: Mutex<HashMap<String, (String, i64)>>,
}

/// What a token is asked for, and as what that is registered.
struct Asked<'a> {
    name: &'a str,
    registered: Resource,
}

/// How one of them refuses.
type Refuse = fn(u16, &str, &str) -> Answer;

const TOKEN_LIFETIME: i64 = 24 * 3600;
/// Where real agents write their keys, and clients expect them.
const ARC_TOKENS: &str = "/var/opt/azcmagent/tokens";
/// A name of other services for resource ids, which the agent (seen: 1.67) takes no notice of.
const IGNORED_BY_ARC: &str = "mi_res_id";

impl Source {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::AppService, Self::AzureArc, Self::CloudShell, Self::MachineLearning, Self::ServiceFabric];

    pub(crate) fn service(self) -> Service {
        match self {
            Self::AppService => Service::AppService,
            Self::AzureArc => Service::Arc,
            Self::CloudShell => Service::CloudShell,
            Self::MachineLearning => Service::MachineLearning,
            Self::ServiceFabric => Service::ServiceFabric,
        }
    }

    /// What a client reads to find the endpoint at `origin`. `thumbprint` is that of Service Fabric's server.
    pub(crate) fn env(self, origin: &str, sources: &Sources, thumbprint: &str) -> Vec<(String, String)> {
        let endpoint = format!("{origin}{}", sources.path(self.service()));
        let secret = sources.secret.clone();
        let env = match self {
            Self::AppService => vec![("IDENTITY_ENDPOINT", endpoint), ("IDENTITY_HEADER", secret)],
            Self::AzureArc => {
                vec![("IDENTITY_ENDPOINT", endpoint), ("IMDS_ENDPOINT", origin.to_owned())]
            }
            Self::CloudShell => vec![("MSI_ENDPOINT", endpoint)],
            Self::MachineLearning => vec![
                ("MSI_ENDPOINT", endpoint),
                ("MSI_SECRET", secret),
                ("DEFAULT_IDENTITY_CLIENT_ID", SYSTEM_ASSIGNED_CLIENT_ID.to_owned()),
            ],
            Self::ServiceFabric => vec![
                ("IDENTITY_ENDPOINT", endpoint),
                ("IDENTITY_HEADER", secret),
                ("IDENTITY_SERVER_THUMBPRINT", thumbprint.to_owned()),
            ],
        };
        env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Sources {
    pub(crate) fn new(
        clock: Clock,
        (issuer, registry): (Arc<Issuer>, Arc<Registry>),
        arc_agent: ArcAgent,
        arc_tokens: PathBuf,
    ) -> Self {
        Sources {
            clock,
            issuer,
            registry,
            arc_agent,
            instance: new_id(),
            secret: new_id(),
            arc_tokens,
            arc_keys: Mutex::default(),
            fabric: Mutex::default(),
        }
    }

    pub(crate) fn answer(&self, request: &Request<'_>) -> Answer {
        let service = request.connection.service;
        if request.path != self.path(service) {
            return Answer::not_found(request);
        }
        let judge = match service {
            Service::AppService => app_service,
            Service::Arc => arc,
            Service::CloudShell => cloud_shell,
            Service::MachineLearning => machine_learning,
            _ => service_fabric,
        };
        judge(self, request).unwrap_or_else(|refusal| refusal)
    }

    fn path(&self, service: Service) -> String {
        let path = match service {
            Service::AppService => "msi/token",
            Service::CloudShell => "oauth2/token",
            Service::MachineLearning => "MSI/auth",
            _ => "metadata/identity/oauth2/token",
        };
        format!("/{}/{path}", self.instance)
    }
}

fn app_service(sources: &Sources, request: &Request<'_>) -> Result<Answer, Answer> {
    let refuse: Refuse = |status, _, message| {
        let body = json!({ "statusCode": status, "message": message, "correlationId": new_id() });
        Answer::json(status, &body)
    };
    method(request, "GET", refuse)?;
    secret(sources, request, "x-identity-header", refuse)?;
    let query = request.query();
    let names = ["client_id", "object_id", "principal_id", "mi_res_id"];
    only(
        &query,
        &[&["api-version", "resource", "xms_cc", "token_sha256_to_refresh"], &names[..]].concat(),
        refuse,
    )?;
    version(&query, "2019-08-01", refuse)?;
    // The SDK for C++ has another name for the object id than those for other languages.
    let object_id = if query.get("principal_id").is_some() { "principal_id" } else { "object_id" };
    if names.into_iter().filter(|name| query.get(name).is_some()).count() > 1 {
        return Err(refuse(400, "BadRequest", "An identity may be named in one way only"));
    }
    let identity = identity(&query, ["client_id", object_id, "mi_res_id"], refuse)?;
    let resource = resource(sources, &query, refuse)?;
    let (token, end) = issue(sources, request, identity, &resource, &capabilities(&query))?;
    Ok(issued(identity, resource.name, &token, json!(end.to_string())))
}

fn arc(sources: &Sources, request: &Request<'_>) -> Result<Answer, Answer> {
    method(request, "GET", flat)?;
    metadata(request, flat)?;
    let query = request.query();
    only(&query, &["api-version", "resource", "client_id", "object_id", "msi_res_id", IGNORED_BY_ARC], flat)?;
    version(&query, "2020-06-01", flat)?;
    let resource = resource(sources, &query, flat)?;
    let Some(authorization) = request.header("authorization") else {
        let path = arc_challenge(sources).map_err(|error| Answer::text(500, error.to_string()))?;
        return Err(flat(401, "unauthorized_client", "Missing Basic Authorization header")
            .header("www-authenticate", format!("Basic realm={path}")));
    };
    let key = authorization.strip_prefix("Basic ").unwrap_or_default();
    let file = lock(&sources.arc_keys).remove(key);
    let file = file.ok_or_else(|| flat(401, "unauthorized_client", "Invalid or expired key"))?;
    // It serves once. A test may have moved it.
    let _ = fs::remove_file(file);
    let names = match sources.arc_agent {
        ArcAgent::Current => ["client_id", "object_id", "msi_res_id"],
        ArcAgent::Legacy => ["", "", ""],
    };
    let not_assigned: Refuse = |status, error, description| match error {
        "ManagedIdentityNotFound" => flat(404, "identity_not_found", description),
        _ => flat(status, error, description),
    };
    let identity = identity(&query, names, not_assigned)?;
    let (token, end) = issue(sources, request, identity, &resource, &[])?;
    let lifetime = end - sources.clock.now();
    let mut body = json!({
        "access_token": token,
        // MSAL for Python takes an answer without it for none.
        "expires_in": lifetime.to_string(),
        "expires_on": end.to_string(),
        "resource": resource.name,
        "token_type": "Bearer",
    });
    // It says whom it answers for by the name that it was asked by.
    let own = [identity.client_id, identity.object_id, identity.resource_id.unwrap_or_default()];
    for (name, own) in names.into_iter().zip(own).filter(|(name, _)| query.get(name).is_some()) {
        body[name] = json!(own);
    }
    Ok(Answer::json(200, &body))
}

/// Writes a key that only somebody on this host, and in the right group, can read, and gives the name that the
/// file has on a host with the agent.
fn arc_challenge(sources: &Sources) -> std::io::Result<String> {
    let directory = &sources.arc_tokens;
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    let (name, key) = (format!("{}.key", new_id()), new_id());
    let path = directory.join(&name);
    files::write(&path, &key)?;
    lock(&sources.arc_keys).insert(key, path);
    Ok(format!("{ARC_TOKENS}/{name}"))
}

fn cloud_shell(sources: &Sources, request: &Request<'_>) -> Result<Answer, Answer> {
    method(request, "POST", nested)?;
    metadata(request, nested)?;
    only(&request.query(), &[], nested)?;
    if !request.is_form() {
        return Err(nested(400, "BadRequest", "The Content-Type is not application/x-www-form-urlencoded"));
    }
    let form = request.form();
    only(&form, &["resource"], nested)?;
    let resource = resource(sources, &form, |_, _, message| nested(400, "AudienceNotSupported", message))?;
    let identity = &MANAGED_IDENTITIES[0];
    let (token, end) = issue(sources, request, identity, &resource, &[])?;
    Ok(issued(identity, resource.name, &token, json!(end.to_string())))
}

fn machine_learning(sources: &Sources, request: &Request<'_>) -> Result<Answer, Answer> {
    method(request, "GET", nested)?;
    secret(sources, request, "secret", nested)?;
    let query = request.query();
    only(&query, &["api-version", "resource", "clientid"], nested)?;
    version(&query, "2017-09-01", nested)?;
    let identity = identity(&query, ["clientid", "", ""], nested)?;
    let resource = resource(sources, &query, nested)?;
    let (token, end) = issue(sources, request, identity, &resource, &[])?;
    Ok(issued(identity, resource.name, &token, json!(end.to_string())))
}

fn service_fabric(sources: &Sources, request: &Request<'_>) -> Result<Answer, Answer> {
    let refuse: Refuse = |status, code, message| {
        let body = json!({ "error": { "correlationId": new_id(), "code": code, "message": message } });
        Answer::json(status, &body)
    };
    method(request, "GET", refuse)?;
    secret(sources, request, "secret", refuse)?;
    let query = request.query();
    only(&query, &["api-version", "resource", "principalId", "xms_cc", "token_sha256_to_refresh"], refuse)?;
    // The version of the preview is what MSAL for Python and Node ask for.
    if query.get("api-version") != Some("2019-07-01-preview") {
        version(&query, "2020-05-01", refuse)?;
    }
    let identity = identity(&query, ["", "principalId", ""], refuse)?;
    let resource = resource(sources, &query, refuse)?;
    let rejected = query.get("token_sha256_to_refresh");
    let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if rejected.is_some_and(|hash| hash.len() != 64 || !hash.bytes().all(is_digit)) {
        return Err(refuse(
            400,
            "ArgumentInvalid",
            "token_sha256_to_refresh is no SHA-256 in lower-case hex",
        ));
    }
    let capabilities = capabilities(&query);
    let asked = format!("{} {} {}", identity.client_id, resource.name, capabilities.join(","));
    let known = lock(&sources.fabric).get(&asked).cloned();
    let bent = request.fault.is_some_and(|fault| !fault.claims.is_empty());
    let usable = known.filter(|(token, end)| {
        let hash = hex(digest(&SHA256, token.as_bytes()).as_ref());
        *end > sources.clock.now() && Some(hash.as_str()) != rejected && !bent
    });
    let (token, end) = match usable {
        Some(known) => known,
        None => {
            let issued = issue(sources, request, identity, &resource, &capabilities)?;
            lock(&sources.fabric).insert(asked, issued.clone());
            issued
        }
    };
    Ok(issued(identity, resource.name, &token, json!(end)))
}

fn capabilities(query: &Pairs) -> Vec<&str> {
    query.get("xms_cc").map(|list| list.split(',').collect()).unwrap_or_default()
}

fn method(request: &Request<'_>, wanted: &str, refuse: Refuse) -> Result<(), Answer> {
    match request.method == wanted {
        true => Ok(()),
        false => Err(refuse(405, "MethodNotAllowed", &format!("{wanted} it is, not {}", request.method))),
    }
}

fn metadata(request: &Request<'_>, refuse: Refuse) -> Result<(), Answer> {
    match request.header("metadata") {
        Some("true") => Ok(()),
        _ => Err(refuse(400, "bad_request_102", "Required metadata header not specified")),
    }
}

fn secret(sources: &Sources, request: &Request<'_>, header: &str, refuse: Refuse) -> Result<(), Answer> {
    match request.header(header) {
        Some(secret) if secret == sources.secret => Ok(()),
        Some(_) => Err(refuse(401, "SecretHeaderInvalid", &format!("The header {header} has a wrong value"))),
        None => Err(refuse(401, "SecretHeaderNotFound", &format!("The header {header} is missing"))),
    }
}

/// Refuses each parameter that this service does not have, and each that comes twice.
fn only(pairs: &Pairs, allowed: &[&str], refuse: Refuse) -> Result<(), Answer> {
    let stranger = pairs.names().find(|name| !allowed.contains(name));
    match stranger.or_else(|| pairs.repeated()) {
        Some(name) => Err(refuse(400, "BadRequest", &format!("The parameter {name} has no place here"))),
        None => Ok(()),
    }
}

fn version(query: &Pairs, wanted: &str, refuse: Refuse) -> Result<(), Answer> {
    match query.get("api-version") == Some(wanted) {
        true => Ok(()),
        false => Err(refuse(400, "InvalidApiVersion", "The api-version is missing or not supported")),
    }
}

fn resource<'a>(sources: &Sources, pairs: &'a Pairs, refuse: Refuse) -> Result<Asked<'a>, Answer> {
    let name =
        pairs.get("resource").ok_or_else(|| refuse(400, "invalid_request", "The resource is missing"))?;
    let registered = sources.registry.find(name).ok_or_else(|| {
        let message =
            format!("AADSTS500011: The resource principal named {name} was not found in the tenant.");
        refuse(400, "invalid_resource", &message)
    })?;
    Ok(Asked { name, registered })
}

/// The identity that is named by client, object or resource id, under these parameters; the
/// system-assigned one when none is there.
fn identity(query: &Pairs, names: [&str; 3], refuse: Refuse) -> Result<&'static ManagedIdentity, Answer> {
    let [client_id, object_id, resource_id] = names.map(|name| query.get(name));
    let named: Vec<&str> = [client_id, object_id, resource_id].into_iter().flatten().collect();
    if named.len() > 1 {
        return Err(refuse(400, "BadRequest", "An identity may be named in one way only"));
    }
    let same = |named: Option<&str>, own: &str| named.is_some_and(|named| named.eq_ignore_ascii_case(own));
    let found = MANAGED_IDENTITIES.iter().find(|identity| {
        named.is_empty()
            || same(client_id, identity.client_id)
            || same(object_id, identity.object_id)
            || identity.resource_id.is_some_and(|own| same(resource_id, own))
    });
    found.ok_or_else(|| refuse(400, "ManagedIdentityNotFound", "No managed identity was found"))
}

/// A token, and when it ends.
fn issue(
    sources: &Sources,
    request: &Request<'_>,
    identity: &'static ManagedIdentity,
    asked: &Asked<'_>,
    capabilities: &[&str],
) -> Result<(String, i64), Answer> {
    let claims = json!({ "access_token": { "xms_cc": { "values": capabilities } } });
    let grant = Grant {
        tenant: directory::Tenant::home(),
        client: directory::Client::ManagedIdentity(identity),
        audience: asked.name,
        resource: &asked.registered,
        by_secret: false,
        bound_to: None,
        claims: Some(&claims).filter(|_| !capabilities.is_empty()),
        form: None,
        lifetime: sources.issuer.lifetime(TOKEN_LIFETIME),
    };
    let token =
        sources.issuer.access_token(&grant, request.fault).map_err(|error| Answer::text(500, error))?;
    Ok((token, sources.clock.now() + grant.lifetime))
}

fn issued(identity: &ManagedIdentity, resource: &str, token: &str, expires_on: Value) -> Answer {
    let body = json!({
        "access_token": token,
        "client_id": identity.client_id,
        "expires_on": expires_on,
        "resource": resource,
        "token_type": "Bearer",
    });
    Answer::json(200, &body)
}

fn flat(status: u16, error: &str, description: &str) -> Answer {
    let body = json!({ "error": error, "error_description": description, "correlation_id": new_id() });
    Answer::json(status, &body)
}

fn nested(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "error": { "code": code, "message": message } }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
