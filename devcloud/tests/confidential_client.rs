//! Does the STS let in whom Entra lets in, and refuse the others with Entra's numbers?
#![allow(clippy::unwrap_used)]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use common::signer::Signer;
use common::*;
use devcloud::Assertion;
use devcloud::directory::*;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

const LOGIN: &str = "eastus.login.microsoft.com";
const MTLS: &str = "eastus.mtlsauth.microsoft.com";
const ID: (&str, &str) = ("client_id", APP_A_CLIENT_ID);
const SECRET: (&str, &str) = ("client_secret", APP_A_SECRET);

#[test]
fn refusals_have_the_numbers_of_entra() {
    let cloud = start();
    let ok = token(&cloud, LOGIN, None, &[ID, SECRET, GRAPH_SCOPE]);
    assert_eq!(
        (ok.status, &ok.json()["token_type"], &ok.json()["expires_in"]),
        (200, &"Bearer".into(), &3599.into())
    );

    let other = ("client_id", "99999999-0000-4000-8000-000000000000");
    for (code, error, form) in [
        (700016, "unauthorized_client", vec![other, SECRET, GRAPH_SCOPE]),
        (7000215, "invalid_client", vec![ID, ("client_secret", "wrong"), GRAPH_SCOPE]),
        (7000218, "invalid_client", vec![ID, GRAPH_SCOPE]),
        (900144, "invalid_request", vec![ID, SECRET]),
        (1002012, "invalid_scope", vec![ID, SECRET, ("scope", "https://graph.microsoft.com/User.Read")]),
        (500011, "invalid_resource", vec![ID, SECRET, ("scope", "api://nothing/.default")]),
        (9002313, "invalid_request", vec![ID, SECRET, GRAPH_SCOPE, POP]),
        (9002313, "invalid_request", vec![ID, ID, SECRET, GRAPH_SCOPE]),
    ] {
        let refused = token(&cloud, LOGIN, None, &form);
        assert_eq!((refused.code(), &refused.json()["error"]), (code, &error.into()), "{refused:?}");
    }
    let url = format!("https://{LOGIN}/99999999-0000-4000-8000-000000000000/oauth2/v2.0/token");
    assert_eq!(token_at(&cloud, &url, None, &[ID, SECRET, GRAPH_SCOPE]).code(), 90002);
}

/// Is a secret taken by HTTP Basic (RFC 6749, 2.3.1), which Entra's metadata lists, and no two of them?
#[test]
fn a_secret_by_http_basic() {
    let cloud = start();
    // Form-encoded before it is base64: that is what the `~` of the secret shows.
    let ask = |secret: &str, more: &[(&str, &str)]| {
        let credentials = STANDARD.encode(format!("{APP_A_CLIENT_ID}:{secret}"));
        let mut arguments =
            vec!["-H".to_owned(), format!("authorization: Basic {credentials}"), endpoint(LOGIN)];
        for (name, value) in [("grant_type", "client_credentials"), GRAPH_SCOPE].iter().chain(more) {
            arguments.extend(["--data-urlencode".to_owned(), format!("{name}={value}")]);
        }
        curl(&cloud, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let encoded = APP_A_SECRET.replace('~', "%7E");
    assert_eq!(ask(&encoded, &[]).json()["token_type"], "Bearer");
    assert_eq!(ask(&encoded, &[ID]).json()["token_type"], "Bearer");
    assert_eq!(ask("wrong", &[]).code(), 7_000_215);
    assert_eq!(ask(&encoded, &[SECRET]).code(), 9_002_313);
    assert_eq!(ask(&encoded, &[("client_id", APP_B_CLIENT_ID)]).code(), 9_002_313);
}

/// Does a team get tokens for its own API without a word, but not for what only a mistake would name?
#[test]
fn audiences_of_other_apis() {
    let cloud = start();
    let ask = |resource: &str| {
        let scope = format!("{resource}/.default");
        token(&cloud, LOGIN, None, &[ID, SECRET, ("scope", &scope)])
    };
    for resource in [
        "api://orders",
        "https://orders.example/api",
        "https://database.windows.net",
        "https://cognitiveservices.azure.com",
        "https://graph.microsoft.us",
        APP_B_CLIENT_ID,
    ] {
        assert_eq!(claims(&ask(resource).token())["aud"], resource);
    }
    for resource in [
        "api://nothing",
        "api://",
        "https://orders.invalid",
        "http://orders.example",
        "orders",
        OTHER_TENANT_ID,
    ] {
        assert_eq!(ask(resource).code(), 500_011, "{resource}");
    }
}

/// Can a test see in the token, and in the log, what the form said beyond what every form says?
#[test]
fn a_token_shows_what_was_asked_for() {
    let cloud = start();
    let asked = r#"{"access_token":{"xms_cc":{"values":["cp1"]}, "nonce":null}}"#;
    let more = [("fmi_path", "/fmi/app"), ("claims", asked), ("attributes", "unknown to devcloud")];
    let issued = token(&cloud, LOGIN, None, &[&[ID, SECRET, GRAPH_SCOPE][..], &more].concat());
    let shown = claims(&issued.token());
    assert_eq!((&shown["fmi_path"], &shown["xms_cc"]), (&"/fmi/app".into(), &json!(["cp1"])));
    assert_eq!((&shown["devcloud_claims"], &shown["devcloud_scope"]), (&asked.into(), &GRAPH_SCOPE.1.into()));
    let logged = cloud.requests_to(devcloud::Service::Login);
    assert_eq!(logged[0].form("attributes").as_deref(), Some("unknown to devcloud"));

    let plain = claims(&token(&cloud, LOGIN, None, &[ID, SECRET, GRAPH_SCOPE]).token());
    assert!(plain["fmi_path"].is_null() && plain["devcloud_claims"].is_null(), "{plain}");
}

/// Does a client learn who it is when it asks as MSAL.NET does, and not as for a user?
#[test]
fn client_info_comes_to_those_who_ask() {
    let cloud = start();
    let ask = |more: &[(&str, &str)]| {
        token(&cloud, LOGIN, None, &[&[ID, SECRET, GRAPH_SCOPE][..], more].concat()).json()
    };
    assert!(ask(&[])["client_info"].is_null());
    assert!(ask(&[("client_info", "1")])["client_info"].is_null());
    let answer = ask(&[("client_info", "2")]);
    let info = URL_SAFE_NO_PAD.decode(answer["client_info"].as_str().unwrap()).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&info).unwrap(),
        json!({ "uid": APP_A_OBJECT_ID, "utid": TENANT_ID, "xms_devcloud": "demo" })
    );
}

#[test]
fn a_refusal_echoes_the_correlation_id() {
    let cloud = start();
    let id = "0d1c1a2e-5b1f-4a3e-9d56-3b1a0a2f7c11";
    let refused = curl(&cloud, &["-H", &format!("client-request-id: {id}"), "-d", "x=y", &endpoint(LOGIN)]);
    assert_eq!(refused.json()["correlation_id"], id);
    assert!(
        refused.head.contains(&format!("client-request-id: {id}"))
            && refused.head.contains("x-ms-request-id: ")
    );
}

#[test]
fn an_sni_certificate_alone_gets_a_bound_token_and_nothing_weaker() {
    let cloud = start();
    let files = cloud.files();
    for certificate in [files.sni(), files.sni_rotated(), files.sni_ec()] {
        for host in [
            "mtlsauth.microsoft.com",
            MTLS,
            "mtlsauth.microsoftonline.us",
            "usgov.mtlsauth.microsoftonline.us",
        ] {
            let issued = token(&cloud, host, Some(&certificate), &[ID, GRAPH_SCOPE, POP]);
            assert_eq!(issued.json()["token_type"], "mtls_pop", "{host} {certificate:?} {issued:?}");
        }
    }
    let sni = files.sni();
    let assertion = [("client_assertion_type", JWT_BEARER), ("client_assertion", "e30.e30.e30")];
    for (code, certificate, form) in [
        (700027, files.fic_binding(), vec![ID, GRAPH_SCOPE, POP]),
        (700027, sni.clone(), vec![("client_id", APP_B_CLIENT_ID), GRAPH_SCOPE, POP]),
        (51000, sni.clone(), vec![ID, GRAPH_SCOPE]),
        (9002313, sni.clone(), vec![ID, SECRET, GRAPH_SCOPE, POP]),
        (9002313, sni.clone(), vec![ID, assertion[0], assertion[1], GRAPH_SCOPE, POP]),
    ] {
        let refused = token(&cloud, MTLS, Some(&certificate), &form);
        assert_eq!(refused.code(), code, "{refused:?}");
    }
}

#[test]
fn a_client_assertion_is_read_to_the_letter() {
    let cloud = start();
    let signer = Signer::new(&cloud);
    let send = |header: Value, payload: Value| signer.send(LOGIN, None, &header, &payload);
    let (x5c, payload) = (signer.x5c.clone(), || signer.payload(LOGIN));
    let without = |mut of: Value, name: &str| {
        of.as_object_mut().unwrap().remove(name);
        of
    };
    let with = |mut of: Value, name: &str, value: Value| {
        of[name] = value;
        of
    };
    assert_eq!(send(json!({ "x5c": x5c }), payload()).json()["token_type"], "Bearer");
    assert_eq!(send(json!({}), payload()).json()["token_type"], "Bearer", "the thumbprint is registered");

    let now = cloud.now();
    let reversed: Vec<_> = x5c.iter().rev().collect();
    let other = Signer::with(&cloud, &cloud.files().sni_rotated());
    for (code, header, payload) in [
        (50027, json!({ "x5c": [] }), payload()),
        (50027, json!({ "x5c": reversed }), payload()),
        (700027, json!({ "x5t#S256": "AAAA" }), payload()),
        (50027, json!({ "x5t#S256": "!" }), payload()),
        (50027, json!({ "alg": "none" }), payload()),
        (50027, json!({}), with(payload(), "exp", json!("in an hour"))),
        (50027, json!({}), with(payload(), "aud", json!([endpoint(LOGIN)]))),
        (700027, json!({ "x5c": other.x5c, "x5t#S256": other.thumbprint() }), payload()),
        (700024, json!({}), with(with(payload(), "nbf", json!(now - 1200)), "exp", json!(now - 600))),
        (700023, json!({}), with(payload(), "aud", json!(endpoint("westus.login.microsoft.com")))),
        (700023, json!({}), without(payload(), "aud")),
        (50027, json!({}), without(payload(), "nbf")),
        (700021, json!({}), with(payload(), "sub", json!("other"))),
        (700211, json!({}), with(payload(), "iss", json!("other"))),
    ] {
        let refused = send(header.clone(), payload.clone());
        assert_eq!(refused.code(), code, "{header} {payload} {refused:?}");
    }
}

/// Is an assertion taken as clients write it that are in production with it (since_july_2026, section 12), and as
/// recipes for it have been copied?
#[test]
fn client_assertions_as_they_are_sent() {
    let cloud = start();
    let signer = Signer::new(&cloud);
    let now = cloud.now();
    let plain = signer.payload(LOGIN);
    let with = |name: &str, value: Value| {
        let mut payload = plain.clone();
        match value {
            Value::Null => payload.as_object_mut().unwrap().remove(name),
            value => payload.as_object_mut().unwrap().insert(name.to_owned(), value),
        };
        payload
    };
    let issuer = format!("https://login.microsoftonline.com/{TENANT_ID}/v2.0");
    let v1 = endpoint(LOGIN).replace("/v2.0/", "/");
    let mut of_msal_net = with("exp", json!((now + 600).to_string()));
    of_msal_net["nbf"] = json!(now.to_string());
    for (who, header, payload) in [
        ("MSAL.NET, dates as strings", json!({}), of_msal_net),
        ("MSAL.NET, x5c of the leaf alone", json!({ "x5c": signer.x5c[0] }), plain.clone()),
        ("openid-client, the issuer", json!({}), with("aud", json!(issuer))),
        ("openid-client, an hour", json!({}), with("exp", json!(now + 3600))),
        ("a day", json!({}), with("exp", json!(now + 86_400))),
        ("recipes, the endpoint of v1", json!({}), with("aud", json!(v1))),
        ("RFC 7523, 3: jti is optional", json!({}), with("jti", Value::Null)),
    ] {
        let answer = signer.send(LOGIN, None, &header, &payload);
        assert_eq!(answer.status, 200, "{who}: {answer:?}");
    }
    let url = endpoint(LOGIN);
    let (sha_1, sha_256) = (signer.x5t(), signer.thumbprint());
    for (algorithm, member, thumbprint) in [
        (Algorithm::RS256, "x5t", sha_1.clone()),
        (Algorithm::RS256, "x5t#S256", sha_256),
        (Algorithm::PS256, "x5t", sha_1.clone()),
        // azure_identity for Rust has it in plain base64.
        (Algorithm::PS256, "x5t", format!("{}=", sha_1.replace('-', "+").replace('_', "/"))),
    ] {
        let answer = signer.send_to(&url, None, algorithm, json!({ member: thumbprint }), &plain);
        assert_eq!(answer.status, 200, "{algorithm:?} {member}: {answer:?}");
    }
}

/// Is an assertion taken as MSAL for Python writes it, with all that RFC 7515 and 7519 leave open?
#[test]
fn a_client_assertion_of_msal_for_python() {
    let cloud = start();
    let signer = Signer::with(&cloud, &cloud.files().sni_rotated());
    let (first, rest) = signer.x5c[0].split_at(64);
    let thumbprint = format!("{}=", signer.thumbprint());
    let header = json!({ "x5c": [format!("{first}\n{rest}")], "x5t#S256": thumbprint });
    let mut payload = signer.payload(LOGIN);
    let now = cloud.now() as f64 + 0.25;
    payload["aud"] = json!(endpoint("login.microsoftonline.com"));
    payload["iat"] = json!(now);
    payload["exp"] = json!(now + 600.0);
    payload.as_object_mut().unwrap().remove("nbf");
    let answer = signer.send(LOGIN, None, &header, &payload);
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// May a client keep its assertion until it expires, and say more in it than it must?
#[test]
fn a_client_assertion_may_come_again_and_with_claims_of_its_own() {
    let cloud = start();
    let signer = Signer::new(&cloud);
    let mut payload = signer.payload(LOGIN);
    payload["iat"] = json!(cloud.now());
    payload["xms_az_claim"] = json!({ "any": ["value"] });
    let send = || signer.send(LOGIN, None, &json!({}), &payload);
    assert_eq!((send().status, send().status), (200, 200));
    cloud.advance_clock(std::time::Duration::from_secs(600 + 301));
    assert_eq!(send().code(), 700024);
}

#[test]
fn an_unregistered_key_needs_x5c() {
    let cloud = start();
    let signer = Signer::with(&cloud, &cloud.files().sni_rotated());
    assert_eq!(signer.send(LOGIN, None, &json!({}), &signer.payload(LOGIN)).code(), 700027);
    let x5c = json!({ "x5c": signer.x5c });
    assert_eq!(signer.send(LOGIN, None, &x5c, &signer.payload(LOGIN)).status, 200);
}

#[test]
fn bearer_over_mutual_tls_wants_one_certificate_in_both_places() {
    let cloud = start();
    let signer = Signer::new(&cloud);
    let (sni, rotated) = (cloud.files().sni(), cloud.files().sni_rotated());
    for host in [MTLS, "mtlsauth.microsoft.com", "mtlsauth.microsoftonline.us", "mtlsauth.devcloud.test"] {
        let url = endpoint(host);
        let issued = signer.send_ps256(&url, Some(&sni));
        assert_eq!(issued.json()["token_type"], "Bearer", "{host} {issued:?}");
        assert!(claims(&issued.token())["cnf"].is_null(), "{host}: a Bearer token is bound to nothing");
        assert_eq!(call(&cloud, &graph("/v1.0/me"), "Bearer", &issued.token(), None).status, 200);
        assert_eq!(signer.send_ps256(&url, Some(&rotated)).code(), 9002313, "{host}");
    }
}

#[test]
fn a_federated_assertion_is_verified_and_stays_bound() {
    let cloud = start();
    let files = cloud.files();
    let bound = std::fs::read_to_string(files.fic_assertion()).unwrap();
    let mint = |change: fn(&mut Assertion)| {
        let mut assertion = Assertion::default();
        change(&mut assertion);
        cloud.mint_assertion(&assertion).unwrap()
    };
    let send = |host: &str, certificate, kind: &str, assertion: &str, pop: bool| {
        let mut form = vec![("client_id", APP_B_CLIENT_ID), GRAPH_SCOPE];
        form.extend([("client_assertion_type", kind), ("client_assertion", assertion)]);
        form.extend(pop.then_some(POP));
        token(&cloud, host, certificate, &form)
    };
    let (fic, sni) = (files.fic_binding(), files.sni());
    assert_eq!(send(MTLS, Some(&fic), JWT_POP, &bound, true).json()["token_type"], "mtls_pop");
    assert_eq!(send(MTLS, Some(&fic), JWT_POP, &bound, false).json()["token_type"], "Bearer");
    assert_eq!(send(LOGIN, None, JWT_BEARER, &mint(|_| ()), false).json()["token_type"], "Bearer");

    let mut forged = mint(|_| ()).into_bytes();
    *forged.last_mut().unwrap() = b'A';
    forged.extend(b"AAAA");
    let forged = String::from_utf8(forged).unwrap();
    for (code, refused) in [
        (500181, send(MTLS, Some(&sni), JWT_POP, &bound, true)),
        (9002313, send(MTLS, Some(&fic), JWT_POP, &mint(|_| ()), true)),
        (9002313, send(MTLS, Some(&fic), JWT_BEARER, &bound, true)),
        (9002313, send(LOGIN, None, JWT_BEARER, &bound, false)),
        (9002313, send(LOGIN, None, JWT_POP, &bound, false)),
        (700213, send(LOGIN, None, JWT_BEARER, &mint(|a| a.subject = "other".into()), false)),
        (700212, send(LOGIN, None, JWT_BEARER, &mint(|a| a.audience = "other".into()), false)),
        (700024, send(LOGIN, None, JWT_BEARER, &mint(|a| a.expires_in = -600), false)),
        (50013, send(LOGIN, None, JWT_BEARER, &forged, false)),
    ] {
        assert_eq!(refused.code(), code, "{refused:?}");
    }
}

/// Does a federated credential want the audience of its own cloud, in upper and lower case, and is that found out only
/// by the second of two legs (since_july_2026, section 5)?
#[test]
fn each_cloud_has_an_audience() {
    let cloud = start();
    let rows = [
        ("login.microsoftonline.com", "api://AzureADTokenExchange"),
        ("eastus.login.microsoft.com", "api://AzureADTokenExchange"),
        ("login.microsoftonline.us", "api://AzureADTokenExchangeUSGov"),
        ("login.partner.microsoftonline.cn", "api://AzureADTokenExchangeChina"),
        ("login.sovcloud-identity.fr", "api://AzureADTokenExchangeFrance"),
        ("login.sovcloud-identity.de", "api://AzureADTokenExchangeGermany"),
        ("login.sovcloud-identity.sg", "api://AzureADTokenExchangeGovSG"),
    ];
    for (host, right) in rows {
        for (_, audience) in rows {
            let scope = format!("{audience}/.default");
            let asked =
                [("client_id", APP_A_CLIENT_ID), ("client_secret", APP_A_SECRET), ("scope", scope.as_str())];
            let first = token(&cloud, host, None, &asked).token();
            let assertion = [("client_assertion_type", JWT_BEARER), ("client_assertion", &first)];
            let second = token(
                &cloud,
                host,
                None,
                &[&[("client_id", APP_B_CLIENT_ID), GRAPH_SCOPE][..], &assertion].concat(),
            );
            let code = second.json()["error_codes"][0].as_u64();
            assert_eq!(code, (audience != right).then_some(70_022_204), "{host} {audience}");
        }
    }
    let scope = ("scope", "api://azureadtokenexchangeusgov/.default");
    let asked = [("client_id", APP_A_CLIENT_ID), ("client_secret", APP_A_SECRET), scope];
    assert_eq!(token(&cloud, LOGIN, None, &asked).code(), 500011);
}

/// Is the credential of an agent identity a token of its blueprint that names it, and nothing else
/// (since_july_2026, section 8)?
#[test]
fn an_agent_identity_is_vouched_for_by_its_blueprint() {
    let cloud = start();
    let sni = cloud.files().sni();
    let exchange = ("scope", "api://AzureADTokenExchange/.default");
    let first = |client_id, path: &[(&str, &str)]| {
        let form = [&[("client_id", client_id), exchange, POP][..], path].concat();
        token(&cloud, MTLS, Some(&sni), &form).token()
    };
    let bound = first(BLUEPRINT_CLIENT_ID, &[("fmi_path", AGENT_CLIENT_ID)]);
    let second = |assertion: &str| {
        let form = [("client_id", AGENT_CLIENT_ID), ("client_assertion_type", JWT_POP), GRAPH_SCOPE];
        token(&cloud, MTLS, Some(&sni), &[&form[..], &[("client_assertion", assertion)]].concat())
    };
    assert_eq!(second(&bound).json()["token_type"], "Bearer");
    for (client_id, path) in [
        (BLUEPRINT_CLIENT_ID, &[("fmi_path", OTHER_AGENT_CLIENT_ID)][..]),
        (BLUEPRINT_CLIENT_ID, &[]),
        (APP_A_CLIENT_ID, &[("fmi_path", AGENT_CLIENT_ID)]),
    ] {
        let refused = second(&first(client_id, path));
        assert_eq!(refused.code(), 700_213, "{client_id} {path:?} {refused:?}");
    }
}

/// May a managed identity or an application be the first leg of two, for either kind of token?
#[test]
fn a_bound_token_is_an_assertion_on_connections_of_its_certificate() {
    let cloud = start();
    let exchange = ("scope", "api://AzureADTokenExchange/.default");
    for (client_id, certificate) in [
        (SYSTEM_ASSIGNED_CLIENT_ID, binding(&cloud, SYSTEM_ASSIGNED_CLIENT_ID)),
        (USER_ASSIGNED_CLIENT_ID, binding(&cloud, USER_ASSIGNED_CLIENT_ID)),
        (APP_A_CLIENT_ID, cloud.files().sni()),
    ] {
        let first = token(&cloud, MTLS, Some(&certificate), &[("client_id", client_id), exchange, POP]);
        assert_eq!(first.json()["token_type"], "mtls_pop", "{client_id} {first:?}");
        let first = first.token();
        let second = |host: &str, certificate, kind: &str, more: &[(&str, &str)]| {
            let assertion = [("client_assertion_type", kind), ("client_assertion", first.as_str())];
            let client = [("client_id", APP_B_CLIENT_ID), GRAPH_SCOPE];
            token(&cloud, host, certificate, &[&client[..], &assertion, more].concat())
        };
        for (kind, more) in [("mtls_pop", &[POP][..]), ("Bearer", &[])] {
            let issued = second(MTLS, Some(&certificate), JWT_POP, more);
            assert_eq!(issued.json()["token_type"], kind, "{client_id} {issued:?}");
            let called = call(&cloud, &graph("/v1.0/me"), kind, &issued.token(), Some(&certificate));
            assert_eq!(called.status, 200, "{client_id} {called:?}");
        }
        let other = cloud.files().fic_binding();
        for (code, refused) in [
            (500181, second(MTLS, Some(&other), JWT_POP, &[POP])),
            (9002313, second(MTLS, Some(&certificate), JWT_BEARER, &[POP])),
            (9002313, second(MTLS, Some(&certificate), JWT_BEARER, &[])),
            (9002313, second(LOGIN, None, JWT_BEARER, &[])),
        ] {
            assert_eq!(refused.code(), code, "{client_id} {refused:?}");
        }
    }
}
