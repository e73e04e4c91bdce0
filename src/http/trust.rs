//! What OpenSSL's TRUSTED CERTIFICATE says about a certificate: whether it may vouch for servers.

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, Utf8StringRef};
use der::{Decode, Sequence};

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// `X509_CERT_AUX` of OpenSSL.
#[derive(Sequence)]
struct Settings<'a> {
    trust: Option<Vec<ObjectIdentifier>>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    reject: Option<Vec<ObjectIdentifier>>,
    alias: Option<Utf8StringRef<'a>>,
    key_id: Option<&'a OctetStringRef>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    other: Option<Vec<AnyRef<'a>>>,
}

/// As OpenSSL judges it: what is rejected for servers is none, and where usages are named, only those count.
/// `None` where `settings` are malformed.
pub(super) fn for_servers(settings: &[u8]) -> Option<bool> {
    if settings.is_empty() {
        return Some(true);
    }
    let settings = Settings::from_der(settings).ok()?;
    let has = |usages: &Vec<ObjectIdentifier>| usages.contains(&SERVER_AUTH) || usages.contains(&ANY_USAGE);
    Some(!settings.reject.as_ref().is_some_and(has) && settings.trust.as_ref().is_none_or(has))
}
