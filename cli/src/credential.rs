//! What an app proves itself with, read from where the settings say it is.

use std::path::Path;

use mtlspop::{Certificate, Credential, Secret, SecretBytes, TpmOptions};

use crate::layers::{Kind, Layer, Layers};
use crate::secrets::{From, read};
use crate::{Failure, Result};

/// The credential of `kind`. What belongs to it is in `places`, passwords may be anywhere.
pub(crate) fn credential(kind: Kind, places: &[Layer], layers: &Layers) -> Result<Option<Credential>> {
    match kind {
        Kind::ManagedIdentity => Ok(None),
        Kind::Certificate => {
            let send_x5c = layers.any(|layer| layer.settings.send_certificate_chain);
            Ok(Some(Credential::Certificate { certificate: certificate(places, layers)?, send_x5c }))
        }
        Kind::Secret => {
            let from = places.iter().find_map(|layer| layer.secret.as_ref());
            let from = from.ok_or_else(|| Failure::input("there is no client secret"))?;
            Ok(Some(Credential::Secret(from.read("the client secret")?)))
        }
        Kind::FederatedTokenFile => {
            let path = places.iter().find_map(|layer| layer.settings.federated_token_file.clone());
            Ok(Some(Credential::FederatedTokenFile(path)))
        }
    }
}

/// The app's certificate with its key, wherever that is.
pub(crate) fn certificate(places: &[Layer], layers: &Layers) -> Result<Certificate> {
    let path = places.iter().find_map(|layer| layer.settings.certificate.as_deref());
    let path = path.ok_or_else(|| Failure::input("there is no certificate: give --certificate FILE"))?;
    let key = places.iter().find_map(|layer| layer.settings.key.as_deref());
    let password = layers.first(|layer| layer.password.clone());
    let password = password.map(|from| from.read("the password of the certificate")).transpose()?;
    load(path, key, password.as_ref(), layers)
}

/// A key in a TPM is a file that says so.
fn load(path: &Path, key: Option<&Path>, password: Option<&Secret>, layers: &Layers) -> Result<Certificate> {
    const IN_A_TPM: &[u8] = b"-----BEGIN TSS2 PRIVATE KEY-----";
    let key_file = read(key.unwrap_or(path))?;
    if key_file.windows(IN_A_TPM.len()).any(|part| part == IN_A_TPM) {
        let chain = read(path)?;
        return Ok(Certificate::with_tpm_key(&chain, &key_file, tpm(layers)?)?);
    }
    Certificate::from_file(path, key, password).map_err(|error| {
        let hint = match error.code() {
            "cryptographic_error" if password.is_none() => {
                "--certificate-password-file or AZURE_CLIENT_CERTIFICATE_PASSWORD gives a password"
            }
            "cert_without_private_key" => "--key names the file of the private key",
            _ => return error.into(),
        };
        Failure::from(error).hint(hint)
    })
}

/// The TPM of this host, with the authorisation value for its keys where there is one.
pub(crate) fn tpm(layers: &Layers) -> Result<TpmOptions> {
    let auth = layers.first(|layer| layer.settings.tpm_auth_file.clone());
    let auth =
        auth.map(|path| From::File(path).read("the authorisation value of the TPM's key")).transpose()?;
    Ok(match auth {
        Some(auth) => TpmOptions::new().with_auth(SecretBytes::new(auth.expose().as_bytes())),
        None => TpmOptions::new(),
    })
}
