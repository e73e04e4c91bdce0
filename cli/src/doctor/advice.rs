//! What to do about an error of the library, by its code.

use mtlspop::Error;

/// About a proxy that cannot be used, or does not do what it is to.
pub(super) const PROXY: &str =
    "correct HTTPS_PROXY, or list the host in NO_PROXY where it is reached without a proxy";

/// In words for who runs the host.
pub(super) fn advice(error: &Error) -> String {
    let codes = error.aadsts_codes();
    let known = match error.code() {
        _ if codes.contains(&90002) => {
            "correct --tenant or AZURE_TENANT_ID: the id or a domain of the tenant; for another cloud, --authority-host, too"
        }
        "network_error" => {
            "see that the host's firewall and network let it there, or name the proxy that leads there in HTTPS_PROXY"
        }
        "proxy_error" => {
            "correct HTTPS_PROXY, or list the host in NO_PROXY where it is reached without a proxy"
        }
        "tls_error" => {
            "where a proxy or firewall on the way opens TLS, have it let this host through untouched, or trust its root certificate by \
             SSL_CERT_FILE; else compare the clocks"
        }
        "client_certificate_rejected" => {
            "see that the certificate is valid and the one that the app is registered with, and that its issuers stand behind it in its file"
        }
        "request_timeout" => {
            "see that the host's firewall lets it there: packets that are dropped look like this; --timeout gives it longer"
        }
        "invalid_trusted_roots" => {
            "correct SSL_CERT_FILE or SSL_CERT_DIR, or unset them and install ca-certificates"
        }
        "invalid_managed_identity_endpoint" => {
            "correct the variable, or unset it where this host has no such service"
        }
        "imds_v2_disabled" => "unset MSAL_MI_DISABLE_IMDS_V2, or ask for a Bearer token: without --pop",
        "mtls_pop_not_supported_for_environment" => {
            "take a login. host of your cloud for --authority-host, for example https://login.microsoftonline.com"
        }
        code => return format!("the message says it; docs/ERRORS.md explains {code}"),
    };
    known.to_owned()
}
