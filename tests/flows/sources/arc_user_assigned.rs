//! User-assigned identities of Azure Arc: an agent that knows of them says whom it answers for, and one that does not
//! answers for somebody else (since_july_2026 spec, section 1).

use devcloud::{ArcAgent, Fault, Options, ReceivedRequest, Source, directory};
use mtlspop::{Error, ErrorKind, ManagedIdentityId, Token, TokenSource};
use serde_json::{Value, json};

use super::{SYSTEM, ask, parameters, received};
use crate::support::{World, claims};

const NOT_CONFIRMED: &str = "user_assigned_managed_identity_not_confirmed";

/// The user-assigned identity by each kind of id, with the parameter that names it.
fn names() -> [(ManagedIdentityId, &'static str); 3] {
    [
        (ManagedIdentityId::ClientId(directory::USER_ASSIGNED_CLIENT_ID.into()), "client_id"),
        (ManagedIdentityId::ObjectId(directory::USER_ASSIGNED_OBJECT_ID.into()), "object_id"),
        (ManagedIdentityId::ResourceId(directory::USER_ASSIGNED_RESOURCE_ID.into()), "msi_res_id"),
    ]
}

fn arc(world: &World, id: &ManagedIdentityId) -> Result<Token, Error> {
    ask(world, Source::AzureArc, id.clone())
}

fn legacy() -> World {
    World::with(Options { arc_agent: ArcAgent::Legacy, ..Options::default() })
}

/// What the agent is asked when it answers with `members` in its token.
fn answer_with(world: &World, id: &ManagedIdentityId, members: &Value) -> Result<Token, Error> {
    world.cloud.reset();
    // The challenge is an answer, too.
    world.cloud.fault(Fault { times: 2, ..Fault::set("arc", members.clone()) }).unwrap();
    arc(world, id)
}

/// Is each kind of id named by its parameter in both requests, the token that identity's, and is it kept?
#[test]
fn each_kind_of_id() {
    let world = World::new();
    for (id, name) in names() {
        world.cloud.reset();
        let token = arc(&world, &id).unwrap();
        assert_eq!(claims(&token)["oid"], directory::USER_ASSIGNED_OBJECT_ID, "{name}");
        let requests = received(&world, Source::AzureArc);
        assert_eq!(requests.len(), 2);
        for request in &requests {
            assert_eq!(parameters(request), ["api-version", "resource", name]);
        }
        assert_eq!(arc(&world, &id).unwrap().source(), TokenSource::Cache);
    }
}

/// Does an older agent, which gives out the token of the system-assigned identity, give none here; is nothing kept
/// of it; and has the system-assigned identity itself no such trouble?
#[test]
fn legacy_agent() {
    let world = legacy();
    for (id, name) in names() {
        for _ in 0..2 {
            world.cloud.reset();
            let error = arc(&world, &id).unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidResponse, NOT_CONFIRMED), "{name}");
            assert_eq!((error.http_status(), error.is_retryable()), (Some(200), false));
            assert!(error.message().contains("older agents"), "{error}");
            let answered = received(&world, Source::AzureArc);
            assert_eq!(answered.iter().filter_map(|request| request.status).collect::<Vec<_>>(), [401, 200]);
        }
    }
    let token = arc(&world, &SYSTEM).unwrap();
    assert_eq!(claims(&token)["oid"], directory::SYSTEM_ASSIGNED_OBJECT_ID);
}

/// Is a token refused that comes with the name of another identity, with no name, or with one that is no text; is
/// the token in no message?
#[test]
fn lies() {
    let world = World::new();
    for (id, name) in names() {
        let lies = [
            json!({ name: directory::SYSTEM_ASSIGNED_CLIENT_ID }),
            json!({ name: "" }),
            json!({ name: " " }),
            json!({ name: null }),
            json!({ name: 7 }),
            json!({ name: [directory::USER_ASSIGNED_CLIENT_ID] }),
            // Another kind of id than the one that was asked by confirms nothing.
            json!({ name: null, "principal_id": directory::USER_ASSIGNED_OBJECT_ID }),
        ];
        for lie in lies {
            let error = answer_with(&world, &id, &lie).unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidResponse, NOT_CONFIRMED), "{lie}");
            assert!(!format!("{error:?}").contains("eyJ"), "{error:?}");
            println!("{lie}: {}: {error}", error.code());
        }
        let error = answer_with(&world, &id, &json!({ name: "somebody\u{202e}else" })).unwrap_err();
        assert!(error.message().contains("somebody"), "{error}");
        assert_eq!(arc(&world, &id).unwrap().source(), TokenSource::IdentityProvider, "nothing was kept");
    }
}

/// Is the resource id confirmed by either spelling of its name, in any case, but not by two that differ? Are the
/// other ids confirmed in any case?
#[test]
fn what_confirms() {
    let id = directory::USER_ASSIGNED_RESOURCE_ID;
    let (lower, upper) = (id.to_lowercase(), id.to_uppercase());
    let by_resource = ManagedIdentityId::ResourceId(id.to_owned());
    let rows = [
        (json!({ "msi_res_id": null, "mi_res_id": lower }), true),
        (json!({ "msi_res_id": "", "mi_res_id": upper }), true),
        (json!({ "msi_res_id": upper, "mi_res_id": lower }), true),
        (json!({ "msi_res_id": upper }), true),
        (json!({ "mi_res_id": "/subscriptions/other" }), false),
        (json!({ "msi_res_id": "/subscriptions/other", "mi_res_id": id }), false),
        (json!({ "msi_res_id": null }), false),
    ];
    for (members, confirmed) in rows {
        // Each world is a host of its own, whose cache is empty.
        let world = World::new();
        match answer_with(&world, &by_resource, &members) {
            Ok(_) => assert!(confirmed, "{members}"),
            Err(error) => assert!(!confirmed && error.code() == NOT_CONFIRMED, "{members}: {error}"),
        }
    }
    let world = World::new();
    for (id, name) in &names()[..2] {
        let upper = match id {
            ManagedIdentityId::ClientId(id) | ManagedIdentityId::ObjectId(id) => id.to_uppercase(),
            _ => unreachable!(),
        };
        answer_with(&world, id, &json!({ *name: upper })).unwrap();
    }
}

/// Is the name looked at, too, where a token comes without a challenge, and where a member comes twice?
#[test]
fn without_a_challenge() {
    let world = World::new();
    let id = ManagedIdentityId::ClientId("asked".into());
    let rows = [
        (r#""client_id":"ASKED""#, true),
        (r#""client_id":"other""#, false),
        (r#""client_id":"other","client_id":"asked""#, false),
        (r#""object_id":"asked""#, false),
        (r#""x":1"#, false),
    ];
    for (members, confirmed) in rows {
        let world = World::new();
        let body = Some(format!(r#"{{"access_token":"t","expires_on":3600,{members}}}"#));
        world.cloud.fault(Fault { body, ..Fault::on("arc") }).unwrap();
        match arc(&world, &id) {
            Ok(token) => assert!(confirmed && token.access_token() == "t", "{members}"),
            Err(error) => assert!(!confirmed && error.code() == NOT_CONFIRMED, "{members}: {error}"),
        }
    }
    // What the system-assigned identity is told by is not looked at.
    let body = Some(r#"{"access_token":"t","expires_on":3600,"client_id":7}"#.to_owned());
    world.cloud.fault(Fault { body, ..Fault::on("arc") }).unwrap();
    assert_eq!(arc(&world, &SYSTEM).unwrap().access_token(), "t");
}

/// Is 404 said to mean that the identity is not assigned to the machine, and is it not asked for again; while the
/// other statuses are retried as for the system-assigned identity?
#[test]
fn not_assigned() {
    let world = World::new();
    let statuses = |world: &World| {
        let requests = received(world, Source::AzureArc);
        requests.iter().filter_map(|request: &ReceivedRequest| request.status).collect::<Vec<_>>()
    };
    let stranger = ManagedIdentityId::ClientId("99999999-0000-4000-8000-000000000000".into());
    let error = arc(&world, &stranger).unwrap_err();
    let expected = (ErrorKind::Rejected, "managed_identity_request_failed", Some(404));
    assert_eq!((error.kind(), error.code(), error.http_status()), expected);
    assert!(!error.is_retryable());
    for words in ["not assigned to this machine", "No managed identity was found"] {
        assert!(error.message().contains(words), "{error}");
    }
    assert_eq!(statuses(&world), [401, 404]);
    // Before the challenge it means the same.
    world.cloud.reset();
    world.cloud.fault(Fault { times: 9, ..Fault::status("arc", 404) }).unwrap();
    let error = arc(&world, &stranger).unwrap_err();
    assert!(error.message().contains("not assigned to this machine"), "{error}");
    assert_eq!(statuses(&world), [404]);
    world.cloud.reset();
    world.cloud.fault(Fault { times: 9, ..Fault::status("arc", 404) }).unwrap();
    let error = arc(&world, &SYSTEM).unwrap_err();
    assert!(!error.message().contains("not assigned"), "{error}");
    assert_eq!(statuses(&world), [404; 4]);
    world.cloud.reset();
    world.cloud.fault(Fault { times: 3, ..Fault::status("arc", 503) }).unwrap();
    arc(&world, &names()[0].0).unwrap();
    assert_eq!(statuses(&world), [503, 503, 503, 401, 200]);
}
