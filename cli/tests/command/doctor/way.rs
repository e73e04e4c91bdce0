//! Faults of the way to a server.

use std::net::TcpListener;
use std::process::Command;

use devcloud::Fault;

use super::{API, finds, found};
use crate::support::{as_app, cloud};

/// Is each fault of the way to a server found: proxy, name, TLS that somebody opens, a certificate that is not asked for or not
/// wanted, a clock, a tenant; with what to do?
#[test]
fn faults_of_the_way() {
    let cloud = cloud();
    let app = format!("doctor --json --pop {API} --timeout 2");
    type Plant<'a> = &'a dyn Fn(&mut Command);
    let fault = |fault: Fault| cloud.fault(Fault { times: 9, ..fault }).unwrap();
    let set = |name: &'static str, value: &'static str| {
        move |command: &mut Command| {
            command.env(name, value);
        }
    };
    let late = Fault {
        headers: [("date".to_owned(), "Mon, 01 Jan 2024 00:00:00 GMT".to_owned())].into(),
        ..Fault::on("openid_configuration")
    };
    let rows: [(Plant<'_>, &str, &str, &str); 12] = [
        (&set("HTTPS_PROXY", "http://127.0.0.1:1"), "connection", "refused", "HTTPS_PROXY"),
        (&set("HTTPS_PROXY", "socks5://127.0.0.1:1"), "proxy", "SOCKS", "NO_PROXY"),
        (&set("SSL_CERT_FILE", "/nowhere"), "roots", "/nowhere", "ca-certificates"),
        (&set("SSL_CERT_FILE", "/dev/null"), "roots", "/dev/null", "SSL_CERT_FILE"),
        (&set("AZURE_TENANT_ID", "nobody.onmicrosoft.com"), "tenant", "AADSTS90002", "--tenant"),
        (
            &set("AZURE_AUTHORITY_HOST", "https://sts.windows.net"),
            "token-service",
            "no mTLS endpoint",
            "login.",
        ),
        (&set("AZURE_REGIONAL_AUTHORITY_NAME", "not/a/region"), "settings", "region", "variable"),
        (
            &|_| fault(Fault { status: Some(407), ..Fault::on("connect") }),
            "connection",
            "asks for a user name",
            "HTTPS_PROXY",
        ),
        (&|_| fault(Fault { status: Some(403), ..Fault::on("connect") }), "connection", "403", "NO_PROXY"),
        (&|_| fault(Fault::on("tls_server_certificate")), "tls", "not trusted", "SSL_CERT_FILE"),
        (
            &|_| fault(Fault::on("tls_certificate_request")),
            "client-certificate",
            "did not ask",
            "mtlstb.graph",
        ),
        (&|_| fault(Fault::on("tls_client_certificate")), "client-certificate", "revoked", "registered with"),
    ];
    for (plant, name, says, advises) in rows {
        let mut command = as_app(&cloud, &app);
        plant(&mut command);
        finds(&found(&mut command, 1), name, "fault", says, advises);
        cloud.clear_faults();
    }
    let mut unknown = as_app(&cloud, "doctor --json https://api.nowhere.invalid");
    let checks = found(unknown.env("NO_PROXY", ".invalid,127.0.0.1"), 1);
    finds(&checks, "dns", "fault", "cannot be resolved", "DNS");
    let mut url = as_app(&cloud, "doctor --json");
    let checks = found(url.env("NO_PROXY", "https://graph.microsoft.com"), 0);
    finds(&checks, "no-proxy", "warning", "https://graph.microsoft.com", "without https://");
    // Who takes connections and says nothing is not waited for.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut silenced = as_app(&cloud, "doctor --json --timeout 1");
    let checks = found(silenced.env("HTTPS_PROXY", format!("http://{}", silent.local_addr().unwrap())), 1);
    finds(&checks, "connection", "fault", "did not open a tunnel within", "dropped");
    cloud.fault(late).unwrap();
    finds(&found(&mut as_app(&cloud, &app), 1), "clock", "fault", "ahead of the server", "chrony");
}
