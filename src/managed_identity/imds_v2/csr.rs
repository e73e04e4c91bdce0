//! The certificate request that IMDS signs: PKCS#10, byte for byte as MSAL.NET writes it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use der::asn1::{Any, AnyRef, Ia5StringRef, ObjectIdentifier, PrintableStringRef, SetOfVec};
use der::{Decode, Encode};
use serde::{Deserialize, Serialize};
use x509_cert::attr::{Attribute, AttributeTypeAndValue};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

use crate::binding::{Signature, encoding, signed_request};
use crate::error::{Error, ErrorKind, Result};
use crate::key::PrivateKey;
use crate::runtime::Wait;

/// Which machine it is: the `cuId` of IMDS's metadata, which the request must repeat. Members that
/// are not known to us are dropped, as MSAL.NET does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CuId {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vm_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vmss_id: Option<String>,
}

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const DOMAIN_COMPONENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25");
const CU_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.90.2.10");

impl CuId {
    /// Whether at least one id is there and not empty, as section 5.2 demands.
    pub(crate) fn names_something(&self) -> bool {
        [&self.vm_id, &self.vmss_id].into_iter().flatten().any(|id| !id.is_empty())
    }
}

/// A request for a certificate for the RSA `key`, as IMDS takes it: base64 of DER, one line.
pub(crate) fn certificate_request(
    key: &dyn PrivateKey,
    client_id: &str,
    tenant_id: &str,
    cu_id: &CuId,
    wait: &Wait,
) -> Result<String> {
    let attributes = vec![cu_id_attribute(cu_id)?];
    sign(key, subject(client_id, tenant_id)?, attributes, wait)
}

/// A request with these attributes, signed.
fn sign(key: &dyn PrivateKey, subject: Name, attributes: Vec<Attribute>, wait: &Wait) -> Result<String> {
    Ok(STANDARD.encode(signed_request(key, subject, attributes, Signature::PssSha256, wait)?))
}

/// The tenant first, then the client: .NET encodes the text "CN=client, DC=tenant" from its end.
fn subject(client_id: &str, tenant_id: &str) -> Result<Name> {
    let tenant = Ia5StringRef::new(tenant_id).map_err(|_| not_a_name("tenantId"))?;
    let client = PrintableStringRef::new(client_id).map_err(|_| not_a_name("clientId"))?;
    let names = [(DOMAIN_COMPONENT, AnyRef::from(tenant)), (COMMON_NAME, AnyRef::from(client))];
    let names = names.map(|(oid, value)| {
        let name = AttributeTypeAndValue { oid, value: Any::from(value) };
        RelativeDistinguishedName::try_from(vec![name])
    });
    let names = names.into_iter().collect::<der::Result<Vec<_>>>().map_err(encoding)?;
    let names = RdnSequence::from(names).to_der().map_err(encoding)?;
    Name::from_der(&names).map_err(encoding)
}

fn cu_id_attribute(cu_id: &CuId) -> Result<Attribute> {
    let json =
        serde_json::to_string(cu_id).map_err(|_| Error::internal("the cuId could not be written as JSON"))?;
    let value = Any::encode_from(&json).map_err(encoding)?;
    let values = SetOfVec::from_iter([value]).map_err(encoding)?;
    Ok(Attribute { oid: CU_ID, values })
}

fn not_a_name(member: &str) -> Error {
    let message = format!("the {member} that IMDS reports has characters a certificate cannot name");
    Error::new(ErrorKind::InvalidResponse, "managed_identity_request_failed", message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;

    use x509_cert::request::CertReq;

    use super::*;
    use crate::key::SoftwareKey;

    const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
    const TENANT: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";

    fn request(cu_id: &CuId) -> Vec<u8> {
        let key = SoftwareKey::generate_rsa_2048().unwrap();
        STANDARD.decode(certificate_request(&key, CLIENT, TENANT, cu_id, &Wait::default()).unwrap()).unwrap()
    }

    fn cu_id(json: &str) -> CuId {
        serde_json::from_str(json).unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Does the request name the signature algorithm exactly as MSAL.NET does?
    #[test]
    fn signature_algorithm_is_golden() {
        let request = CertReq::from_der(&request(&CuId::default())).unwrap();
        assert_eq!(
            hex(&request.algorithm.to_der().unwrap()),
            "303d06092a864886f70d01010a3030a00d300b0609608648016503040201a11a301806092a864886f70d01\
             0108300b0609608648016503040201a203020120"
        );
    }

    /// Is the cuId attribute, with its context tag, byte for byte that of MSAL.NET?
    #[test]
    fn attributes_are_golden() {
        let request = request(&cu_id(r#"{"vmId":"test-vm-id","vmssId":"test-vmss-id"}"#));
        let golden = "a03f303d060a2b0601040182375a020a312f0c2d7b22766d4964223a22746573742d766d2d6964\
                      222c22766d73734964223a22746573742d766d73732d6964227d";
        assert!(hex(&request).contains(golden), "{}", hex(&request));
    }

    /// Does the subject have the tenant first, each name in its string type?
    #[test]
    fn subject_is_golden() {
        assert_eq!(
            hex(&subject(CLIENT, TENANT).unwrap().to_der().unwrap()),
            "306531343032060a0992268993f22c640119162461616161616161612d626262622d636363632d64646464\
             2d656565656565656565656565312d302b0603550403132431313131313131312d323232322d333333332d\
             343434342d353535353535353535353535"
        );
    }

    /// Are nulls left out, empty texts kept and unknown members dropped?
    #[test]
    fn cu_id_keeps_what_msal_keeps() {
        for (given, sent) in [
            ("{}", "{}"),
            (r#"{"vmId":null,"vmssId":"b"}"#, r#"{"vmssId":"b"}"#),
            (r#"{"vmssId":"","vmId":"a"}"#, r#"{"vmId":"a","vmssId":""}"#),
            (r#"{"vmId":"a","region":"x","nested":{"y":[1]}}"#, r#"{"vmId":"a"}"#),
        ] {
            assert_eq!(serde_json::to_string(&cu_id(given)).unwrap(), sent);
        }
    }

    /// What the openssl command says about a request whose signature it has verified.
    fn read_by_openssl(request: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), request).unwrap();
        let openssl = Command::new("openssl")
            .args(["req", "-inform", "der", "-verify", "-noout", "-text", "-in"])
            .arg(file.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[openssl.stdout, openssl.stderr].concat()).into_owned();
        assert!(openssl.status.success() && said.contains("verify OK"), "{said}");
        said
    }

    /// Does another implementation find the signature good?
    #[test]
    fn openssl_verifies_the_request() {
        let said = read_by_openssl(&request(&cu_id(r#"{"vmId":"a"}"#)));
        assert!(said.contains("Salt Length: 0x20"), "{said}");
    }

    /// Is a request with one more attribute, as it may come, a good request (since July 2026, section 7): the
    /// cuId as it was, the other beside it, in the order of DER wherever it stands in the list?
    #[test]
    fn one_more_attribute() {
        let key = SoftwareKey::generate_rsa_2048().unwrap();
        let ours = || cu_id_attribute(&cu_id(r#"{"vmId":"a"}"#)).unwrap();
        let more = || {
            let value = Any::encode_from(&"more".to_owned()).unwrap();
            // Of the arc for examples (RFC 5612). The shorter attribute comes first.
            let oid = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.1");
            Attribute { oid, values: SetOfVec::from_iter([value]).unwrap() }
        };
        for attributes in [vec![ours(), more()], vec![more(), ours()]] {
            let subject = subject(CLIENT, TENANT).unwrap();
            let request =
                STANDARD.decode(sign(&key, subject, attributes, &Wait::default()).unwrap()).unwrap();
            let said = read_by_openssl(&request);
            let at = |text: &str| said.find(text).unwrap_or_else(|| panic!("{text} is not in {said}"));
            assert!(at("1.3.6.1.4.1.32473.1") < at("1.3.6.1.4.1.311.90.2.10"), "{said}");
            let (ours, more) = (hex(&ours().to_der().unwrap()), hex(&more().to_der().unwrap()));
            assert!(hex(&request).contains(&format!("{more}{ours}")), "{}", hex(&request));
        }
    }

    /// Is a name that no certificate can hold an error that says which?
    #[test]
    fn impossible_names_are_refused() {
        let client = subject("client_id", TENANT).unwrap_err();
        assert!(client.message().contains("clientId"), "{client}");
        assert_eq!(client.kind(), ErrorKind::InvalidResponse);
        let tenant = subject(CLIENT, "t\u{e4}nant").unwrap_err();
        assert!(tenant.message().contains("tenantId"), "{tenant}");
    }
}
