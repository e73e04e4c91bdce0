//! The control port: for tests in other languages, the same as `Cloud` is for those in Rust.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::endpoints::Endpoints;
use crate::exchange::Answer;
use crate::fault::Fault;
use crate::oidc::Assertion;
use crate::serve;
use crate::vault::TokenBinding;
use crate::world::World;

pub(crate) async fn client(world: Arc<World>, endpoints: Endpoints, stream: TcpStream) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (world, endpoints) = (world.clone(), endpoints.clone());
        async move {
            let (head, body) = request.into_parts();
            let answer = match body.collect().await {
                Ok(body) => {
                    answer(&world, &endpoints, head.method.as_str(), head.uri.path(), &body.to_bytes())
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
    path: &str,
    body: &Bytes,
) -> Result<Answer, String> {
    let done = || Answer::json(200, &json!({}));
    Ok(match (method, path) {
        ("GET", "/ready") => Answer::json(200, &endpoints.ready()),
        ("GET", "/requests") => Answer::json(200, &value(&world.log.requests())?),
        ("GET", "/counters") => Answer::json(200, &value(&world.counters())?),
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

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn value(of: &impl serde::Serialize) -> Result<Value, String> {
    serde_json::to_value(of).map_err(|error| error.to_string())
}
