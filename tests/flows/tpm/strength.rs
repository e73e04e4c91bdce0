//! The strength of tokens for certificates whose key is in a TPM: made there, or brought there.

use mtlspop::{App, Certificate, MtlsBindingStrength, SecretBytes, TokenCache, TokenSource};

use super::memory::AUTH;
use super::{Workshop, app, credential, reach};
use crate::support::{GRAPH_SCOPE, World, pop};
use crate::swtpm::Swtpm;

/// A key that was made in the TPM and cannot leave it: is that the strength of the token, and none of a Bearer one?
#[test]
fn made_in_the_tpm() {
    let (swtpm, world) = (Swtpm::start(), World::new());
    let certificate = Workshop::with_sni_key(&swtpm, &world).certificate(reach(&swtpm)).unwrap();
    let token = app(&world, &certificate).acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    assert_eq!(token.binding_strength(), MtlsBindingStrength::Hardware);
}

/// A key that was made in software and brought into the TPM: may it be elsewhere as far as can be seen from here; and
/// do an app that has it in the TPM and one that has it in memory share no tokens, which bring their certificate?
#[test]
fn brought_into_the_tpm() {
    let (swtpm, world) = (Swtpm::start(), World::new());
    let workshop = Workshop::with_imported_key(&swtpm, &world);
    let in_tpm = workshop.certificate(reach(&swtpm).with_auth(SecretBytes::new(AUTH))).unwrap();
    let (chain, key) = (workshop.path("chain.pem"), workshop.path("soft.pem"));
    let in_software = Certificate::from_file(&chain, Some(&key), None).unwrap();
    let cache = TokenCache::new();
    for certificate in [in_software, in_tpm] {
        let exportable = certificate.is_exportable();
        let options = world.app_a_options(credential(&certificate)).with_token_cache(cache.clone());
        let app = App::new(options).unwrap();
        for source in [TokenSource::IdentityProvider, TokenSource::Cache] {
            let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
            assert_eq!(token.source(), source);
            assert_eq!(token.binding_certificate().unwrap().is_exportable(), exportable);
            assert_eq!(token.binding_strength(), MtlsBindingStrength::Software);
        }
    }
}
