//! What to do about the AADSTS errors that workloads meet: one sentence each, in the order of their numbers.

/// Too many equal requests: to be treated like a 429, whatever the status.
pub(crate) const LOOP_DETECTED: u32 = 50_196;

/// The advice for the first of `codes` that is known.
pub(crate) fn advice(codes: &[u32]) -> Option<&'static str> {
    codes.iter().find_map(|code| ADVICE.iter().find(|(known, _)| known == code)).map(|(_, advice)| *advice)
}

/// Only numbers whose meaning Microsoft documents or its libraries name. docs/ERRORS.md shows them.
pub(crate) const ADVICE: &[(u32, &str)] = &[
    (
        50_012,
        "the certificate or the assertion signed with it was not accepted: check that this certificate is the one registered with the app, that it is valid, and that its chain is complete",
    ),
    (
        50_027,
        "the assertion is not an acceptable JWT: check its form, its iss, sub and aud, and its time range",
    ),
    (50_048, "iss and sub of the client assertion differ: both must be the app's client id"),
    (
        50_194,
        "the app is for one tenant only: put that tenant's id into the authority in place of common or organizations",
    ),
    (
        LOOP_DETECTED,
        "the same request was sent too often: keep the token until it expires instead of asking again",
    ),
    (
        51_000,
        "this app is not enabled for Bearer tokens over mTLS: ask Entra to enable it, or ask for mtls_pop",
    ),
    (
        53_003,
        "a Conditional Access policy for workload identities blocks this app: look for the policy in the service principal sign-in logs, by the correlation id",
    ),
    (
        65_001,
        "the app lacks consent for the resource: have an administrator of the tenant grant the application permissions",
    ),
    (
        70_001,
        "the app is disabled in this tenant: enable its service principal, or check client id and tenant",
    ),
    (70_011, "the scope is not valid: use the resource's identifier followed by /.default, once"),
    (
        70_021,
        "no federated credential of the app matches the assertion: compare its iss, sub and aud with the app registration",
    ),
    (
        90_002,
        "the tenant in the authority does not exist in this cloud: check the tenant id and the authority's host",
    ),
    (90_033, "a directory behind Entra is not available: try again later"),
    (90_038, "the tenant belongs to another national cloud: use that cloud's authority host"),
    (90_055, "the tenant sends too many requests: send fewer, and keep tokens until they expire"),
    (
        100_007,
        "regional endpoints serve only managed identities and subject-name-and-issuer certificates of Microsoft's own tenants: set no region",
    ),
    (
        392_196,
        "the resource does not accept certificate-bound tokens: ask its owner, or use a Bearer token for it",
    ),
    (
        500_011,
        "the resource is not known in this tenant: check the scope's resource part, and that the resource is consented",
    ),
    (
        500_181,
        "the token or assertion is bound to another certificate than the one presented: present the certificate that came with it",
    ),
    (
        500_207,
        "this kind of account or tenant cannot be used for the resource: check resource and tenant; an Entra authority given as a generic OpenID Connect one must end in /v2.0",
    ),
    (700_016, "the tenant knows no app with this client id: check client id and tenant"),
    (700_022, "the scopes name more than one resource: ask for a token per resource"),
    (700_024, "the assertion is expired or not yet valid: make a fresh one, and check this host's clock"),
    (
        700_025,
        "the app is registered as a public client, which has no credential: give this workload an app of its own, registered as a confidential client",
    ),
    (
        700_027,
        "the assertion's signature does not verify: register this certificate with the app, or send x5c for a subject-name-and-issuer credential",
    ),
    (
        700_030,
        "the subject or issuer of the certificate is not authorized for the app: check the trusted subject names in the app registration, the cloud, and that the leaf comes first in the chain",
    ),
    (
        700_211,
        "no federated credential of the app has the assertion's issuer: make the issuer there equal to iss, to the last slash",
    ),
    (
        700_212,
        "no federated credential of the app has the assertion's audience: write that of this cloud on both sides, in upper and lower case as it is (mtlspop_federated_credential_audience); api://AKSIdentityBinding is for the token proxy of an AKS cluster alone (mtlspop_app_options_set_enable_azure_proxy)",
    ),
    (
        700_213,
        "no federated credential of the app has the assertion's subject: make the subject there equal to sub, in upper and lower case too",
    ),
    (
        700_229,
        "an Entra token is a federated credential only if it was issued to an app: get it with client credentials or from a managed identity",
    ),
    (
        900_023,
        "the tenant in the authority is neither a GUID nor a domain name: write https://login.microsoftonline.com/<tenant id>",
    ),
    (
        900_144,
        "the request lacks a parameter that the description names; an Entra authority given as a generic OpenID Connect one must end in /v2.0",
    ),
    (
        900_382,
        "a confidential client cannot ask across clouds: use the authority host of the app's own cloud",
    ),
    (
        1_000_502,
        "the certificate is not within its period of validity: renew it, and check this host's clock",
    ),
    (
        1_000_610,
        "the attestation in the binding certificate is expired or not yet valid: attest again, and check this host's clock",
    ),
    (
        1_000_611,
        "the attestation in the binding certificate is from an issuer that Entra does not trust: check the attestation endpoint",
    ),
    (
        1_000_612,
        "the attestation in the binding certificate has a claim that Entra does not accept: check what was attested, and attest again",
    ),
    (
        1_000_613,
        "the attestation in the binding certificate names its keys (jku) at another domain than its issuer's: check the attestation endpoint",
    ),
    (1_000_614, "the signature of the attestation in the binding certificate does not verify: attest again"),
    (1_002_012, "a client credential takes the scope <resource>/.default and nothing else: write it so"),
    (
        3_921_996,
        "the tenant does not get tokens that are bound to an attested key: ask Microsoft to enable it for the tenant, or ask for a Bearer token; nothing falls back to one by itself",
    ),
    (7_000_112, "the app is disabled: have its owner enable it"),
    (
        7_000_213,
        "the chain of the certificate does not verify: send all intermediate certificates, or register the certificate itself with the app",
    ),
    (7_000_214, "the certificate has been revoked: replace it"),
    (7_000_215, "the client secret is wrong: use its value, not its id, and check that it has not expired"),
    (
        7_000_218,
        "the request carried no credential that the app can use here: give the app a certificate, a secret or an assertion",
    ),
    (7_000_222, "the client secret has expired: make a new one"),
    (
        7_000_229,
        "the app has no service principal in this tenant: create one, or have an administrator of the tenant consent to the app",
    ),
    (
        7_002_138,
        "a federated credential differs from the assertion's subject in upper and lower case only: write it exactly like sub",
    ),
    (
        70_022_204,
        "no federated credential of the app has the assertion's audience, which may be another cloud's: ask for the assertion with the audience of this cloud (mtlspop_federated_credential_audience)",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Is each number there once, in order, with one sentence that says what is wrong and what to do?
    #[test]
    fn each_number_once_with_one_sentence() {
        assert!(ADVICE.is_sorted_by(|one, next| one.0 < next.0), "sort the rows by number");
        for (code, advice) in ADVICE {
            let one_sentence = advice.contains(": ") || advice.contains("; ");
            assert!(
                one_sentence && !advice.ends_with('.') && !advice.contains(['\n', '|']),
                "{code}: {advice}"
            );
        }
    }

    /// Does the first known number speak, where an answer has several?
    #[test]
    fn first_known_number_speaks() {
        assert_eq!(advice(&[1, 7_000_222, 700_016]), Some("the client secret has expired: make a new one"));
        assert_eq!(advice(&[1]), None);
    }
}
