//! `mtlspop_certificate`: a certificate with its private key, to authenticate with or received with a token.

use std::ffi::c_char;
use std::path::Path;

use super::buffer::{BufferValue, mtlspop_buffer};
use super::error::{guard, mtlspop_error, mtlspop_status};
use super::guard::guard_or;
use super::handle::{Handle, Out, free, value};
use super::text::{Lent, bytes, lend, no_length, optional, required};
use crate::binding::{Certificate, Pkcs12Format};
use crate::clock::unix_seconds;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// PKCS#12 with AES-256 and SHA-256: for OpenSSL 3, .NET, Java and whatever else is current.
pub const MTLSPOP_PKCS12_MODERN: i32 = 0;
/// PKCS#12 with triple DES and SHA-1, which is weak: for readers that know nothing else, such as Mono.
pub const MTLSPOP_PKCS12_LEGACY: i32 = 1;

/// A certificate, the chain that came with it, and its private key. Owned by who received it;
/// immutable, so any thread may read it.
pub struct mtlspop_certificate {
    _private: [u8; 0],
}

pub(super) struct CertificateValue {
    certificate: Certificate,
    pem: Lent,
    chain_pem: Lent,
    sha1: Lent,
    sha256: Lent,
    x5t_s256: Lent,
    subject: Lent,
}

impl Handle for mtlspop_certificate {
    type Value = CertificateValue;
    const NAME: &'static str = "certificate";
    const TAG: u64 = 0x6d74_6c73_4345_5254;
}

impl CertificateValue {
    pub(super) fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

impl From<Certificate> for CertificateValue {
    fn from(certificate: Certificate) -> Self {
        Self {
            certificate,
            pem: Lent::default(),
            chain_pem: Lent::default(),
            sha1: Lent::default(),
            sha256: Lent::default(),
            x5t_s256: Lent::default(),
            subject: Lent::default(),
        }
    }
}

/// Loads a certificate with its chain and private key from files: PEM (certificates and a PKCS#8,
/// PKCS#1 or SEC1 key, also encrypted PKCS#8) or PKCS#12 (.pfx, .p12, also as base64 text); which it is, is
/// told by the content. RSA from 2048 bits and EC on P-256, P-384 and P-521. The issuers may stand in any
/// order: those are taken whose signatures make the chain, and the log of an app made with it names the rest.
///
/// Fails with MTLSPOP_E_KEY_UNAVAILABLE, saying what is wrong: the file cannot be read, holds no
/// certificate or no key, the password is missing or wrong, the key is not the certificate's. With
/// MTLSPOP_E_INVALID_ARGUMENT for NULL, text that is not UTF-8, and a password PKCS#12 cannot express.
///
/// @param path             the file
/// @param key_path         another PEM file with the key; NULL where path holds it
/// @param password         of the key or the PKCS#12 file; NULL where there is none
/// @param out_certificate  receives the certificate, yours to free
/// @param out_error        receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_new_from_file(
    path: *const c_char,
    key_path: *const c_char,
    password: *const c_char,
    out_certificate: *mut *mut mtlspop_certificate,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_certificate, "out_certificate")?;
            let path = Path::new(required(path, "path")?);
            let key_path = optional(key_path, "key_path")?.map(Path::new);
            let password = optional(password, "password")?.map(Secret::new);
            out.set(Certificate::from_file(path, key_path, password.as_ref())?.into());
            Ok(())
        })
    }
}

/// Loads a certificate with its chain and private key from PEM text in memory; see
/// mtlspop_certificate_new_from_file().
///
/// @param pem              certificates, and the key unless key_pem is given; copied
/// @param length           length of pem in bytes
/// @param key_pem          the key; NULL where pem holds it; copied
/// @param key_length       length of key_pem in bytes
/// @param password         of an encrypted key; NULL where there is none
/// @param out_certificate  receives the certificate, yours to free
/// @param out_error        receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_new_from_pem(
    pem: *const u8,
    length: usize,
    key_pem: *const u8,
    key_length: usize,
    password: *const c_char,
    out_certificate: *mut *mut mtlspop_certificate,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_certificate, "out_certificate")?;
            if pem.is_null() {
                return Err(Error::argument("pem is NULL"));
            }
            let pem = bytes(pem, length, "pem")?;
            let key_pem = Some(bytes(key_pem, key_length, "key_pem")?).filter(|_| !key_pem.is_null());
            let password = optional(password, "password")?.map(Secret::new);
            out.set(Certificate::from_pem(pem, key_pem, password.as_ref())?.into());
            Ok(())
        })
    }
}

/// Loads a certificate with its chain and private key from PKCS#12 (PFX) bytes in memory, or from base64
/// text of them, as a key vault returns it; see mtlspop_certificate_new_from_file().
///
/// @param pfx              the bytes; copied
/// @param length           their number
/// @param password         NULL where there is none, which is the same as ""
/// @param out_certificate  receives the certificate, yours to free
/// @param out_error        receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_new_from_pkcs12(
    pfx: *const u8,
    length: usize,
    password: *const c_char,
    out_certificate: *mut *mut mtlspop_certificate,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_certificate, "out_certificate")?;
            if pfx.is_null() {
                return Err(Error::argument("pfx is NULL"));
            }
            let pfx = bytes(pfx, length, "pfx")?;
            let password = optional(password, "password")?.map(Secret::new);
            out.set(Certificate::from_pkcs12(pfx, password.as_ref())?.into());
            Ok(())
        })
    }
}

/// The certificate itself, DER.
///
/// @param certificate  the certificate
/// @param out_length   receives the number of bytes; may be NULL
/// @return the bytes, borrowed from certificate; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_der(
    certificate: *const mtlspop_certificate,
    out_length: *mut usize,
) -> *const u8 {
    guard_or(std::ptr::null(), || {
        unsafe { no_length(out_length) };
        let value = unsafe { value(certificate, "certificate") }?;
        Ok(unsafe { lend(value.certificate.der(), out_length) })
    })
}

/// How many certificates the chain has: the certificate itself and the issuers that came with it.
///
/// @param certificate  the certificate
/// @return at least 1; 0 only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_chain_count(certificate: *const mtlspop_certificate) -> usize {
    guard_or(0, || Ok(unsafe { value(certificate, "certificate") }?.certificate.chain_der().len()))
}

/// One certificate of the chain, DER.
///
/// @param certificate  the certificate
/// @param index        0 for the certificate itself, 1 for its issuer, and so on
/// @param out_length   receives the number of bytes; may be NULL
/// @return the bytes, borrowed from certificate; NULL where index is out of range
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_chain_der(
    certificate: *const mtlspop_certificate,
    index: usize,
    out_length: *mut usize,
) -> *const u8 {
    guard_or(std::ptr::null(), || {
        unsafe { no_length(out_length) };
        let value = unsafe { value(certificate, "certificate") }?;
        let der = value.certificate.chain_der().get(index);
        Ok(der.map_or(std::ptr::null(), |der| unsafe { lend(der, out_length) }))
    })
}

/// The certificate itself, PEM.
///
/// @param certificate  the certificate
/// @return text, borrowed from certificate; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_pem(certificate: *const mtlspop_certificate) -> *const c_char {
    unsafe { made(certificate, |value| &value.pem, Certificate::pem) }
}

/// The certificate and the issuers that came with it, PEM, leaf first: what curl --cert and nginx want.
///
/// @param certificate  the certificate
/// @return text, borrowed from certificate; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_chain_pem(
    certificate: *const mtlspop_certificate,
) -> *const c_char {
    unsafe { made(certificate, |value| &value.chain_pem, Certificate::chain_pem) }
}

/// SHA-1 of the DER, the classic thumbprint.
///
/// @param certificate  the certificate
/// @return 40 upper-case hexadecimal digits, borrowed from certificate; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_sha1_thumbprint(
    certificate: *const mtlspop_certificate,
) -> *const c_char {
    unsafe { made(certificate, |value| &value.sha1, Certificate::sha1_hex) }
}

/// SHA-256 of the DER.
///
/// @param certificate  the certificate
/// @return 64 upper-case hexadecimal digits, borrowed from certificate; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_sha256_thumbprint(
    certificate: *const mtlspop_certificate,
) -> *const c_char {
    unsafe { made(certificate, |value| &value.sha256, Certificate::sha256_hex) }
}

/// SHA-256 of the DER as RFC 8705, section 3.1, writes it into the cnf claim of a bound token: x5t#S256.
///
/// @param certificate  the certificate
/// @return 43 characters of base64url, borrowed from certificate; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_x5t_s256(
    certificate: *const mtlspop_certificate,
) -> *const c_char {
    unsafe { made(certificate, |value| &value.x5t_s256, |certificate| certificate.x5t_s256().to_owned()) }
}

/// The subject name as text, for example "DC=..., CN=...".
///
/// @param certificate  the certificate
/// @return text, borrowed from certificate; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_subject(
    certificate: *const mtlspop_certificate,
) -> *const c_char {
    unsafe { made(certificate, |value| &value.subject, |certificate| certificate.subject().to_owned()) }
}

/// The first second in which the certificate is valid.
///
/// @param certificate  the certificate
/// @return seconds since 1970-01-01T00:00:00Z, 0 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_not_before(certificate: *const mtlspop_certificate) -> i64 {
    guard_or(0, || Ok(unix_seconds(unsafe { value(certificate, "certificate") }?.certificate.not_before())))
}

/// The last second in which the certificate is valid.
///
/// @param certificate  the certificate
/// @return seconds since 1970-01-01T00:00:00Z, 0 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_not_after(certificate: *const mtlspop_certificate) -> i64 {
    guard_or(0, || Ok(unix_seconds(unsafe { value(certificate, "certificate") }?.certificate.not_after())))
}

/// Signs with the private key, wherever it lives: for TLS stacks and protocols other than this library's, also
/// where the key cannot be exported. Where the key is behind a signer, its callback is called, on this thread; a
/// TPM is waited for, at most 60 seconds.
///
/// Fails with MTLSPOP_E_INVALID_ARGUMENT for an algorithm that this key has not, with
/// MTLSPOP_E_KEY_UNAVAILABLE where the key cannot sign, and with MTLSPOP_E_CALLBACK where a signer failed.
///
/// @param certificate    the certificate
/// @param algorithm      its name in JOSE (RFC 7518): PS256, PS384, PS512, RS256, RS384 or RS512 for an RSA
///                       key, which those in a TPM are; ES256, ES384 or ES512 for one on P-256, P-384 or P-521
/// @param message        what to sign: the message itself, not its hash
/// @param length         the number of its bytes
/// @param out_signature  receives the signature, yours to free: for RSA as long as the key, with a PSS salt as
///                       long as the hash; for ECDSA in DER (X9.62), not r and s side by side
/// @param out_error      receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_sign(
    certificate: *const mtlspop_certificate,
    algorithm: *const c_char,
    message: *const u8,
    length: usize,
    out_signature: *mut *mut mtlspop_buffer,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_signature, "out_signature")?;
            let certificate = &value(certificate, "certificate")?.certificate;
            let message = bytes(message, length, "message")?;
            out.set(BufferValue::new(&certificate.sign(required(algorithm, "algorithm")?, message)?));
            Ok(())
        })
    }
}

/// Whether the private key can be exported. It can, unless it lives elsewhere: in a TPM, with a signer.
///
/// @param certificate  the certificate
/// @return 1 or 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_is_exportable(certificate: *const mtlspop_certificate) -> i32 {
    guard_or(0, || Ok(i32::from(unsafe { value(certificate, "certificate") }?.certificate.is_exportable())))
}

/// Exports the private key as PKCS#8 PEM, unencrypted. From then on it is yours to protect.
///
/// Fails with MTLSPOP_E_KEY_UNAVAILABLE where the key cannot leave its home; the message says which that is, and
/// what can be done instead.
///
/// @param certificate  the certificate
/// @param out_pem      receives the text, yours to free
/// @param out_error    receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_export_private_key_pem(
    certificate: *const mtlspop_certificate,
    out_pem: *mut *mut mtlspop_buffer,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_pem, "out_pem")?;
            let pem = value(certificate, "certificate")?.certificate.private_key_pem()?;
            out.set(BufferValue::new(pem.expose().as_bytes()));
            Ok(())
        })
    }
}

/// Exports certificate, chain and private key as PKCS#12 (PFX). While that is written, copies of the key come
/// about that are freed but not wiped.
///
/// Fails with MTLSPOP_E_KEY_UNAVAILABLE where the key cannot leave its home, and the message says which that is;
/// with MTLSPOP_E_INVALID_ARGUMENT for an unknown format and a password PKCS#12 cannot express.
///
/// @param certificate  the certificate
/// @param password     protects the file
/// @param format       MTLSPOP_PKCS12_MODERN or MTLSPOP_PKCS12_LEGACY
/// @param out_pfx      receives the bytes, yours to free
/// @param out_error    receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_export_pkcs12(
    certificate: *const mtlspop_certificate,
    password: *const c_char,
    format: i32,
    out_pfx: *mut *mut mtlspop_buffer,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_pfx, "out_pfx")?;
            let certificate = &value(certificate, "certificate")?.certificate;
            let password = Secret::new(required(password, "password")?);
            let format = match format {
                MTLSPOP_PKCS12_MODERN => Pkcs12Format::Modern,
                MTLSPOP_PKCS12_LEGACY => Pkcs12Format::Legacy,
                _ => {
                    return Err(Error::argument(format!("format {format} is not one of MTLSPOP_PKCS12_...")));
                }
            };
            out.set(BufferValue::new(certificate.pkcs12(&password, format)?.expose()));
            Ok(())
        })
    }
}

/// Frees a certificate and everything borrowed from it. Apps and tokens that use it are not affected.
///
/// @param certificate  the certificate; NULL is fine
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_free(certificate: *mut mtlspop_certificate) {
    guard_or((), || {
        unsafe { free(certificate) };
        Ok(())
    });
}

unsafe fn made(
    certificate: *const mtlspop_certificate,
    slot: impl FnOnce(&CertificateValue) -> &Lent,
    make: impl FnOnce(&Certificate) -> String,
) -> *const c_char {
    let body = || -> Result<_> {
        let value = unsafe { value(certificate, "certificate") }?;
        let certificate = &value.certificate;
        Ok(slot(value).get_owned(|| Some(make(certificate))))
    };
    guard_or(std::ptr::null(), body)
}
