//! The control port: for tests in other languages, the same as `Cloud` is for those in Rust.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;

use crate::endpoints::Endpoints;
use crate::exchange::Answer;
use crate::fault::Fault;
use crate::oidc::Assertion;
use crate::profile::Profile;
use crate::record::ReceivedRequest;
use crate::serve;
use crate::source::Source;
use crate::vault::TokenBinding;
use crate::world::World;

pub(crate) async fn client(world: Arc<World>, endpoints: Endpoints, stream: TcpStream) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (world, endpoints) = (world.clone(), endpoints.clone());
        async move {
            let (head, body) = request.into_parts();
            let answer = match body.collect().await {
                Ok(body) => {
                    let path = (head.uri.path(), head.uri.query().unwrap_or_default());
                    answer(&world, &endpoints, head.method.as_str(), path, &body.to_bytes())
                }
                Err(error) => Err(error.to_string()),
            };
            let answer = answer.unwrap_or_else(|error| Answer::json(400, &json!({ "error": error })));
            Ok::<_, Infallible>(serve::response(answer, false))
        }
    });
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        world.say(&format!("control connection ended: {error}"));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: i64,
}

/// The error is answered as 400.
fn answer(
    world: &World,
    endpoints: &Endpoints,
    method: &str,
    (path, query): (&str, &str),
    body: &Bytes,
) -> Result<Answer, String> {
    let done = || Answer::json(200, &json!({}));
    Ok(match (method, path) {
        ("GET", "/ready") => Answer::json(200, &endpoints.ready()),
        ("GET", "/env") => {
            let asked: Host = parse_query(query)?;
            let env: BTreeMap<_, _> = endpoints.of_host(asked.host, asked.source).env().into_iter().collect();
            Answer::json(200, &json!({ "set": env, "unset": asked.host.in_the_way() }))
        }
        ("GET", "/requests") => Answer::json(200, &value(&requests(world, query)?)?),
        ("GET", "/counters") if query.is_empty() => Answer::json(200, &value(&world.counters())?),
        ("GET", "/counters") => {
            let mut counters = BTreeMap::<String, u64>::new();
            for operation in requests(world, query)?.into_iter().filter_map(|request| request.operation) {
                *counters.entry(operation).or_default() += 1;
            }
            Answer::json(200, &value(&counters)?)
        }
        ("POST", "/tenants") => {
            let tenant = world.tenants.make();
            Answer::json(200, &json!({ "id": tenant.id, "domain": tenant.domain }))
        }
        ("POST", "/reset") => {
            world.reset();
            done()
        }
        ("GET", "/faults") => Answer::json(200, &value(&world.faults.list())?),
        ("POST", "/faults") => {
            world.faults.add(parse::<Fault>(body)?)?;
            done()
        }
        ("DELETE", "/faults") => {
            world.faults.clear();
            done()
        }
        ("POST", "/clock") => {
            world.clock.advance(parse::<Advance>(body)?.advance_seconds);
            Answer::json(200, &json!({ "now": world.clock.now() }))
        }
        ("GET", "/token-binding") => Answer::json(200, &value(&world.resources.policy.get())?),
        ("POST", "/token-binding") => {
            world.resources.policy.set(parse::<TokenBinding>(body)?);
            done()
        }
        ("POST", "/assertions") => {
            let assertion = world.oidc.mint(&parse::<Assertion>(body)?)?;
            Answer::json(200, &json!({ "assertion": assertion }))
        }
        _ => {
            Answer::json(404, &json!({ "error": format!("devcloud's control port has no {method} {path}") }))
        }
    })
}

/// Whose requests are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Theirs {
    tenant: Option<String>,
    client_id: Option<String>,
}

/// Which environment is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Host {
    #[serde(rename = "as", default)]
    host: Profile,
    source: Option<Source>,
}

fn requests(world: &World, query: &str) -> Result<Vec<ReceivedRequest>, String> {
    let theirs: Theirs = parse_query(query)?;
    let is = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
    let mut all = world.log.requests();
    all.retain(|request| is(&theirs.tenant, &request.tenant) && is(&theirs.client_id, &request.client_id));
    Ok(all)
}

/// A query as an object of texts.
fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, String> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let object: Map<_, _> = pairs.map(|(name, value)| (name.into_owned(), json!(value))).collect();
    serde_json::from_value(object.into()).map_err(|error| error.to_string())
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn value(of: &impl serde::Serialize) -> Result<Value, String> {
    serde_json::to_value(of).map_err(|error| error.to_string())
}
