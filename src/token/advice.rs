//! What to do about the AADSTS errors that people meet: one sentence each.

/// The advice for the first of `codes` that is known.
pub(crate) fn advice(codes: &[u32]) -> Option<&'static str> {
    codes.iter().find_map(|code| TABLE.iter().find(|(known, _)| known == code)).map(|(_, advice)| *advice)
}

const TABLE: &[(u32, &str)] = &[
    (50_196, "the same request was sent too often: keep the token until it expires instead of asking again"),
    (
        51_000,
        "this app is not enabled for Bearer tokens over mTLS: ask Entra to enable it, or ask for mtls_pop",
    ),
    (
        70_021,
        "no federated credential of the app matches the assertion: compare its iss, sub and aud with the app registration",
    ),
    (
        90_002,
        "the tenant in the authority does not exist in this cloud: check the tenant id and the authority's host",
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
        "the token is bound to another certificate than the one presented: present the certificate that came with it",
    ),
    (700_016, "the tenant knows no app with this client id: check client id and tenant"),
    (700_024, "the assertion is expired or not yet valid: make a fresh one, and check this host's clock"),
    (
        700_027,
        "the assertion's signature does not verify: register this certificate with the app, or send x5c for a subject-name-and-issuer credential",
    ),
    (1_000_610, "the binding certificate was not accepted: a new one is needed"),
    (1_000_611, "the binding certificate was not accepted: a new one is needed"),
    (1_000_612, "the attestation in the binding certificate was not accepted: attest again"),
    (1_000_613, "the attestation service is not one that Entra trusts: check the attestation endpoint"),
    (1_000_614, "the attestation in the binding certificate was not accepted: attest again"),
    (7_000_215, "the client secret is wrong: use its value, not its id, and check that it has not expired"),
    (7_000_222, "the client secret has expired: make a new one"),
];
