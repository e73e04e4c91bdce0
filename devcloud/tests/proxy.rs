//! Is the proxy the way to the cloud's names and to nothing else, and is the TLS behind it real?
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use devcloud::{Close, Cloud, Fault, Options, Service};

#[test]
fn every_other_name_is_refused() {
    let cloud = start();
    for url in [
        "https://example.com/",
        "https://login.microsoftonline.com:8443/",
        "http://login.microsoftonline.com/",
    ] {
        let refused = curl(&cloud, &[url]);
        assert_ne!(refused.status, 200, "{refused:?}");
    }
    let refused: Vec<_> =
        cloud.requests_to(Service::Proxy).iter().filter_map(|request| request.status).collect();
    assert_eq!(refused, [403, 403, 405]);
}

#[test]
fn the_proxy_asks_for_credentials_if_told_to() {
    let cloud = Cloud::start(Options { proxy_auth: Some("user:p@ss word".to_owned()), ..Options::default() })
        .unwrap();
    let url = "https://login.microsoftonline.com/common/discovery/instance";
    assert_eq!(curl(&cloud, &[url]).status, 400, "the URL of the proxy has them");
    let bare = cloud.proxy_url().replace("user:p%40ss%20word@", "");
    assert!(curl(&cloud, &["--proxy", &bare, url]).error.contains("407"));
    assert!(curl(&cloud, &["--proxy", &bare, "--proxy-user", "user:wrong", url]).error.contains("407"));
}

#[test]
fn mtlsauth_needs_a_certificate_of_an_authority_it_knows() {
    let cloud = start();
    let url = "https://mtlsauth.microsoft.com/";
    assert!(curl(&cloud, &[url]).error.contains("certificate required"));

    let key = rcgen::KeyPair::generate().unwrap();
    let stranger = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let path = cloud.state_dir().join("stranger.pem");
    std::fs::write(&path, format!("{}{}", stranger.pem(), key.serialize_pem())).unwrap();
    let refused = curl(&cloud, &["--cert", path.to_str().unwrap(), url]);
    assert!(refused.status == 0 && refused.error.contains("alert"), "{refused:?}");

    cloud.fault(Fault::on("tls_client_certificate")).unwrap();
    let sni = cloud.files().sni().display().to_string();
    assert!(curl(&cloud, &["--cert", &sni, url]).error.contains("certificate revoked"));
    assert_eq!(curl(&cloud, &["--cert", &sni, url]).status, 404);
    assert_eq!((cloud.counter("tls_failures"), cloud.counter("connections")), (3, 1));
}

#[test]
fn tls_is_what_the_client_makes_of_it() {
    let cloud = start();
    let url = "https://login.microsoftonline.com/x/discovery/v2.0/keys";
    curl(&cloud, &["--tls-max", "1.2", url]);
    curl(&cloud, &[url, url]);
    let requests = cloud.requests_to(Service::Login);
    let versions: Vec<_> = requests.iter().filter_map(|request| request.tls_version.as_deref()).collect();
    assert_eq!(versions, ["TLSv1_2", "TLSv1_3", "TLSv1_3"]);
    assert_eq!(requests[1].connection, requests[2].connection, "curl keeps its connection");
    assert_ne!(requests[0].connection, requests[1].connection);
}

#[test]
fn a_fault_cuts_the_connection_where_it_says() {
    let cloud = start();
    let url = "https://login.microsoftonline.com/common/discovery/instance";
    let cut = |close| {
        cloud.fault(Fault { close: Some(close), ..Fault::on("instance_discovery") }).unwrap();
        curl(&cloud, &[url])
    };
    let before = cut(Close::BeforeResponse);
    assert_eq!((before.status, cloud.requests().last().unwrap().status), (0, None), "{before:?}");
    let middle = cut(Close::MidResponse);
    assert!(middle.status == 400 && !middle.body.is_empty() && middle.exit != 0, "{middle:?}");
}
