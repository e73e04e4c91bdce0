//! What each source is asked, for which identities, and with what of the caller's request.

use std::collections::HashMap;

use devcloud::{Source, directory};
use mtlspop::{App, ErrorKind, ManagedIdentityId, ManagedIdentitySource, TokenSource};

use super::{CLAIMS, SYSTEM, app, app_on, ask, host, options, parameters, received};
use crate::support::{GRAPH, World, bearer, claims, pop};

const FORM: &str = "application/x-www-form-urlencoded";

/// Sections 6.2 to 6.6: method, parameters and headers of each source, and nothing beside them? Are query
/// values percent-encoded (the design's table)?
#[test]
fn what_each_is_asked() {
    type Row<'a> = (Source, &'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let system = directory::SYSTEM_ASSIGNED_CLIENT_ID;
    let rows: &[Row<'_>] = &[
        (Source::AppService, "GET", &[("api-version", "2019-08-01")], &["x-identity-header"]),
        (Source::AzureArc, "GET", &[("api-version", "2020-06-01")], &["metadata"]),
        (Source::CloudShell, "POST", &[], &["metadata", "contenttype", "content-type"]),
        (
            Source::MachineLearning,
            "GET",
            &[("api-version", "2017-09-01"), ("clientid", system)],
            &["metadata", "secret"],
        ),
        (Source::ServiceFabric, "GET", &[("api-version", "2020-05-01")], &["secret"]),
    ];
    let never =
        ["x-ms-client-request-id", "x-client-sku", "x-client-ver", "client-request-id", "authorization"];
    for &(source, method, query, headers) in rows {
        let world = World::new();
        let env: HashMap<_, _> = world.cloud.source_env(source).into_iter().collect();
        let token = ask(&world, source, SYSTEM).unwrap();
        assert_eq!(token.token_type().as_str(), "Bearer");
        assert_eq!(claims(&token)["oid"], directory::SYSTEM_ASSIGNED_OBJECT_ID);
        assert_eq!(token.source(), TokenSource::IdentityProvider);
        let endpoint = env.get("IDENTITY_ENDPOINT").or(env.get("MSI_ENDPOINT")).unwrap();
        assert_eq!(token.token_endpoint(), endpoint, "without query");

        let request = &received(&world, source)[0];
        assert_eq!(request.method, method, "{source:?}");
        assert!(endpoint.ends_with(&request.path), "{source:?}");
        let mut names: Vec<_> = query.iter().map(|(name, _)| *name).collect();
        if method == "GET" {
            names.insert(1, "resource");
            assert!(request.query.contains("resource=https%3A%2F%2Fgraph.microsoft.com%2F"), "{source:?}");
            assert_eq!(request.body, "");
        } else {
            assert_eq!(request.body, "resource=https%3A%2F%2Fgraph.microsoft.com%2F");
        }
        assert_eq!(parameters(request), names, "{source:?}");
        for (name, value) in query {
            assert_eq!(request.query(name).as_deref(), Some(*value), "{source:?}");
        }
        let secret = env.get("IDENTITY_HEADER").or(env.get("MSI_SECRET")).map(String::as_str);
        for (name, value) in [
            ("metadata", Some("true")),
            ("secret", secret),
            ("x-identity-header", secret),
            ("contenttype", Some(FORM)),
            ("content-type", Some(FORM)),
        ] {
            let value = value.filter(|_| headers.contains(&name));
            assert_eq!(request.header(name), value, "{source:?} {name}");
        }
        for name in never {
            assert_eq!(request.header(name), None, "{source:?}");
        }
        assert_eq!(request.header("accept"), Some("application/json"));
        // Kept for all apps of the process, as for IMDS.
        assert_eq!(ask(&world, source, SYSTEM).unwrap().source(), TokenSource::Cache);
    }
}

/// Section 6.1: the same for IMDSv1, and each kind of identity?
#[test]
fn imds_v1() {
    let world = World::new();
    let rows = [
        (SYSTEM, None, ""),
        (
            ManagedIdentityId::ClientId(directory::USER_ASSIGNED_CLIENT_ID.into()),
            Some("client_id"),
            directory::USER_ASSIGNED_CLIENT_ID,
        ),
        (
            ManagedIdentityId::ObjectId(directory::USER_ASSIGNED_OBJECT_ID.into()),
            Some("object_id"),
            directory::USER_ASSIGNED_OBJECT_ID,
        ),
        (
            ManagedIdentityId::ResourceId(directory::USER_ASSIGNED_RESOURCE_ID.into()),
            Some("msi_res_id"),
            directory::USER_ASSIGNED_RESOURCE_ID,
        ),
    ];
    for (id, name, value) in rows {
        world.cloud.reset();
        let options = world.managed_identity_options(id).with_client_capabilities(&["cp1"]);
        let app = App::new(options).unwrap();
        let id = "3f0d2f43-4c2b-4a5f-9f55-0a5f4f3b1c2d";
        let request = bearer(GRAPH).with_claims(CLAIMS).with_correlation_id(id.parse().unwrap());
        app.acquire_token(&request).unwrap();
        let requests = world.cloud.requests();
        assert_eq!(requests.len(), 1);
        let request = &requests[0];
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("GET", "/metadata/identity/oauth2/token")
        );
        let names: Vec<_> = ["api-version", "resource"].into_iter().chain(name).collect();
        assert_eq!(parameters(request), names);
        assert_eq!(request.query("api-version").as_deref(), Some("2018-02-01"));
        assert_eq!(request.query("resource").as_deref(), Some(GRAPH));
        if let Some(name) = name {
            assert_eq!(request.query(name).as_deref(), Some(value));
        }
        for (header, value) in [
            ("metadata", Some("true")),
            ("x-ms-client-request-id", Some(id)),
            ("x-client-sku", Some("mtlspop")),
            ("accept", Some("application/json")),
            ("secret", None),
            ("x-identity-header", None),
            ("authorization", None),
        ] {
            assert_eq!(request.header(header), value, "{header}");
        }
        assert!(request.header("x-client-ver").is_some());
    }
}

/// Section 6.7, and since_july_2026 spec, section 1: how is each kind of identity named, and who refuses it before any request, with what advice?
#[test]
fn each_kind_of_identity() {
    let client = || ManagedIdentityId::ClientId(directory::USER_ASSIGNED_CLIENT_ID.into());
    let object = || ManagedIdentityId::ObjectId(directory::USER_ASSIGNED_OBJECT_ID.into());
    let resource = || ManagedIdentityId::ResourceId(directory::USER_ASSIGNED_RESOURCE_ID.into());
    let single = Err(("user_assigned_managed_identity_not_supported", "set no id"));
    let manifest = Err(("user_assigned_managed_identity_not_configurable_at_runtime", "object id"));
    let id_type = Err(("invalid_managed_identity_id_type", "client id"));
    type Row = (Source, ManagedIdentityId, Result<&'static str, (&'static str, &'static str)>);
    let rows: Vec<Row> = vec![
        (Source::AppService, client(), Ok("client_id")),
        (Source::AppService, object(), Ok("object_id")),
        (Source::AppService, resource(), Ok("mi_res_id")),
        (Source::AzureArc, client(), Ok("client_id")),
        (Source::AzureArc, object(), Ok("object_id")),
        (Source::AzureArc, resource(), Ok("msi_res_id")),
        (Source::CloudShell, client(), single),
        (Source::CloudShell, object(), single),
        (Source::CloudShell, resource(), single),
        (Source::MachineLearning, client(), Ok("clientid")),
        (Source::MachineLearning, object(), id_type),
        (Source::MachineLearning, resource(), id_type),
        (Source::ServiceFabric, client(), manifest),
        (Source::ServiceFabric, object(), Ok("principalId")),
        (Source::ServiceFabric, resource(), manifest),
    ];
    let world = World::new();
    for (source, id, expected) in rows {
        world.cloud.reset();
        let shown = format!("{source:?} {id:?}");
        let value = match &id {
            ManagedIdentityId::ClientId(id)
            | ManagedIdentityId::ObjectId(id)
            | ManagedIdentityId::ResourceId(id) => id.clone(),
            ManagedIdentityId::SystemAssigned => String::new(),
        };
        match (ask(&world, source, id), expected) {
            (Ok(token), Ok(name)) => {
                assert_eq!(claims(&token)["oid"], directory::USER_ASSIGNED_OBJECT_ID, "{shown}");
                let request = &received(&world, source)[0];
                assert_eq!(request.query(name), Some(value), "{shown}");
                assert_eq!(parameters(request).len(), 3, "{shown}");
            }
            (Err(error), Err((code, advice))) => {
                assert_eq!((error.kind(), error.code()), (ErrorKind::NotSupported, code), "{shown}");
                assert!(error.message().contains(advice), "{error}");
                assert!(received(&world, source).is_empty(), "{shown}");
            }
            (outcome, _) => panic!("{shown}: {outcome:?}"),
        }
    }
    // Machine Learning has no way to ask for "the one you have".
    let mut host = host(&world, Source::MachineLearning);
    host.variables.remove("DEFAULT_IDENTITY_CLIENT_ID");
    let app = app_on(&world, host).unwrap();
    let error = app.acquire_token(&bearer(GRAPH)).unwrap_err();
    assert_eq!(error.code(), "invalid_managed_identity_id_type");
    assert!(error.message().contains("DEFAULT_IDENTITY_CLIENT_ID"), "{error}");
    assert!(received(&world, Source::MachineLearning).is_empty());
    // What the host can do does not hang on it.
    let capabilities = app.managed_identity_capabilities(None, None).unwrap();
    assert_eq!(capabilities.source(), Some(ManagedIdentitySource::MachineLearning));
    assert!(!capabilities.is_mtls_pop_supported_by_host());
}

/// Section 4.3: are bound tokens refused before any request, and never answered with Bearer?
#[test]
fn no_bound_tokens() {
    let world = World::new();
    for source in Source::ALL {
        let app = app(&world, source);
        app.acquire_token(&bearer(GRAPH)).unwrap();
        world.cloud.reset();
        let error = app.acquire_token(&pop(GRAPH)).unwrap_err();
        let expected = (ErrorKind::NotSupported, "mtls_pop_not_supported_for_environment");
        assert_eq!((error.kind(), error.code()), expected, "{source:?}");
        assert!(received(&world, source).is_empty());
    }
}

/// Section 2.3: is one `/.default` removed from the resource, on the wire and in the cache?
#[test]
fn resource_without_default() {
    let world = World::new();
    for source in Source::ALL {
        world.cloud.reset();
        let app = app(&world, source);
        app.acquire_token(&bearer("https://vault.azure.net/.default")).unwrap();
        let request = &received(&world, source)[0];
        let sent = request.query("resource").or(request.form("resource"));
        assert_eq!(sent.as_deref(), Some("https://vault.azure.net"), "{source:?}");
        let again = app.acquire_token(&bearer("https://vault.azure.net")).unwrap();
        assert_eq!(again.source(), TokenSource::Cache);
    }
}

/// Section 6.0: is a query that the endpoint has already kept, in front of ours?
#[test]
fn query_of_the_endpoint() {
    let world = World::new();
    let mut host = host(&world, Source::AppService);
    host.variables.get_mut("IDENTITY_ENDPOINT").unwrap().push_str("?slot=blue#fragment");
    // devcloud knows no such parameter.
    app_on(&world, host).unwrap().acquire_token(&bearer(GRAPH)).unwrap_err();
    let request = &received(&world, Source::AppService)[0];
    assert_eq!(parameters(request), ["slot", "api-version", "resource"]);
}

/// Is none of them asked through the proxy, whatever NO_PROXY says (design, decision 9)?
#[test]
fn never_through_the_proxy() {
    let world = World::new();
    for source in Source::ALL {
        let mut host = host(&world, source);
        host.variables.remove("NO_PROXY");
        host.variables.insert("HTTP_PROXY".into(), world.cloud.proxy_url());
        app_on(&world, host).unwrap().acquire_token(&bearer(GRAPH)).unwrap();
    }
    assert_eq!(world.cloud.counter("connect"), 0);
}

/// Section 9.1: do claims bypass the cache, with nothing of them sent, nor of the capabilities, but to
/// Service Fabric?
#[test]
fn claims_are_not_sent() {
    for source in Source::ALL.into_iter().filter(|source| *source != Source::ServiceFabric) {
        let world = World::new();
        let app = App::new(options(&world, source, SYSTEM).with_client_capabilities(&["cp1"])).unwrap();
        let first = app.acquire_token(&bearer(GRAPH)).unwrap();
        let plain = received(&world, source).pop().unwrap();
        let second = app.acquire_token(&bearer(GRAPH).with_claims(CLAIMS)).unwrap();
        assert_eq!(second.source(), TokenSource::IdentityProvider);
        assert_ne!(first.access_token(), second.access_token());
        let request = received(&world, source).pop().unwrap();
        assert_eq!((request.query, request.body), (plain.query, plain.body), "{source:?}");
        // The new one has taken the place of the old one.
        assert_eq!(app.acquire_token(&bearer(GRAPH)).unwrap().access_token(), second.access_token());
    }
}
