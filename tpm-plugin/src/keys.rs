//! Keys: their templates, and what the TPM does with them.

use tss_esapi::Context;
use tss_esapi::attributes::{ObjectAttributes, ObjectAttributesBuilder, SessionAttributesBuilder};
use tss_esapi::constants::SessionType;
use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_RH_OWNER, TPM2_ST_HASHCHECK};
use tss_esapi::handles::{KeyHandle, ObjectHandle, PersistentTpmHandle, SessionHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::dynamic_handles::Persistent;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::interface_types::resource_handles::{Hierarchy, Provision};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    Auth as AuthValue, Data, Digest, EccPoint, HashScheme, HashcheckTicket, Private, Public, PublicBuilder,
    PublicEccParametersBuilder, PublicKeyRsa, PublicRsaParametersBuilder, RsaDecryptionScheme, RsaExponent,
    RsaScheme, Signature, SignatureScheme, SymmetricDefinition, SymmetricDefinitionObject,
};
use tss_esapi::traits::Marshall;
use tss_esapi::tss2_esys::TPMT_TK_HASHCHECK;

use crate::device::in_hierarchy;
use crate::failure::{failed, other, unsupported};
use crate::interface::{Auth, Cause, Described, Failure, Hash, Key, Padding};

/// F4, which a TPM writes as 0.
const DEFAULT_EXPONENT: u32 = 65537;

/// Makes a signing key that can leave neither this TPM nor its parent. One that also `decrypts` can do the
/// bare RSA operation.
pub(crate) fn create(
    context: &mut Context,
    owner: &Auth,
    auth: &Auth,
    decrypts: bool,
) -> Result<Described, Failure> {
    let parent = primary(context, owner)?;
    let template = signing_template(auth, decrypts).map_err(failed("describing the key"))?;
    let value = auth_value(auth)?;
    // The value goes into the TPM here: encrypted for the parent, as a bus can be listened to.
    let created = with_hmac_session(context, Some(parent), |context, session| {
        context.execute_with_session(Some(session), |context| {
            let value = (!auth.is_empty()).then_some(value);
            context.create(parent, template, value, None, None, None).map_err(failed("making a key"))
        })
    });
    let flushed = context.flush_context(parent.into()).map_err(failed("unloading the parent"));
    let created = created?;
    flushed?;
    let private = created.out_private.value().to_vec();
    describe(&created.out_public, |public| Key::Blob { parent: TPM2_RH_OWNER, public, private })
}

pub(crate) fn load(
    context: &mut Context,
    owner: &Auth,
    parent: u32,
    public: Public,
    private: Private,
) -> Result<KeyHandle, Failure> {
    let of_owner = parent == TPM2_RH_OWNER;
    let parent = if of_owner { primary(context, owner)? } else { at(context, parent, &[])? };
    let loaded = crate::device::with_auth(context, parent.into(), &Auth::default(), |context| {
        context.load(parent, private, public).map_err(failed("loading the key"))
    });
    let released = match of_owner {
        true => context.flush_context(parent.into()),
        false => context.tr_close(&mut parent.into()),
    };
    let loaded = loaded?;
    released.map_err(failed("unloading the parent"))?;
    Ok(loaded)
}

/// The key at a persistent handle. It must have this TPMT_PUBLIC, unless that is empty.
pub(crate) fn at(context: &mut Context, handle: u32, public: &[u8]) -> Result<KeyHandle, Failure> {
    let absent = || Failure {
        cause: Cause::Absent,
        message: format!("there is no key at the persistent handle {handle:#x}"),
    };
    if !is_persistent(context, handle)? {
        return Err(absent());
    }
    let handle = PersistentTpmHandle::new(handle).map_err(|_| absent())?;
    let object = context
        .tr_from_tpm_public(TpmHandle::Persistent(handle))
        .map_err(failed("finding the key at the persistent handle"))?;
    let found = KeyHandle::from(object);
    if !public.is_empty() {
        let (actual, _, _) = context.read_public(found).map_err(failed("reading the key"))?;
        if actual.marshall().map_err(failed("reading the key"))? != public {
            let message = "another key is at the persistent handle now".to_owned();
            return Err(Failure { cause: Cause::KeyLost, message });
        }
    }
    Ok(found)
}

/// Whether there is something at a persistent handle.
pub(crate) fn is_persistent(context: &mut Context, handle: u32) -> Result<bool, Failure> {
    use tss_esapi::constants::CapabilityType;
    use tss_esapi::structures::CapabilityData;
    let (data, _) = context
        .get_capability(CapabilityType::Handles, handle, 1)
        .map_err(failed("looking for the persistent handle"))?;
    Ok(match data {
        CapabilityData::Handles(handles) => {
            handles.into_inner().iter().any(|found| u32::from(*found) == handle)
        }
        _ => false,
    })
}

pub(crate) fn persist(
    context: &mut Context,
    owner: &Auth,
    key: KeyHandle,
    handle: u32,
) -> Result<(), Failure> {
    let persistent = PersistentTpmHandle::new(handle)
        .map_err(|_| unsupported("the handle is not one of persistent objects (0x81000000 to 0x817fffff)"))?;
    let mut kept =
        in_hierarchy(context, ObjectHandle::Owner, owner, "making the key persistent", |context| {
            context.evict_control(Provision::Owner, key.into(), Persistent::Persistent(persistent))
        })?;
    context.tr_close(&mut kept).map_err(failed("making the key persistent"))
}

/// What is to be known of a key; `place` says where it is, given its TPMT_PUBLIC.
pub(crate) fn describe(public: &Public, place: impl FnOnce(Vec<u8>) -> Key) -> Result<Described, Failure> {
    let Public::Rsa { object_attributes, parameters, unique, .. } = public else {
        return Err(unsupported("the key is not an RSA key"));
    };
    Ok(Described {
        key: place(public.marshall().map_err(failed("reading the key"))?),
        modulus: unique.value().to_vec(),
        exponent: exponent(parameters.exponent()),
        fixed: object_attributes.fixed_tpm()
            && object_attributes.fixed_parent()
            && object_attributes.sensitive_data_origin(),
        signs: object_attributes.sign_encrypt() && !object_attributes.restricted(),
    })
}

pub(crate) fn exponent(exponent: RsaExponent) -> u32 {
    match exponent.value() {
        0 => DEFAULT_EXPONENT,
        other => other,
    }
}

pub(crate) fn sign(
    context: &mut Context,
    key: KeyHandle,
    padding: Padding,
    hash: Hash,
    digest: &[u8],
) -> Result<Vec<u8>, Failure> {
    let hash_scheme = HashScheme::new(match hash {
        Hash::Sha256 => HashingAlgorithm::Sha256,
        Hash::Sha384 => HashingAlgorithm::Sha384,
        Hash::Sha512 => HashingAlgorithm::Sha512,
    });
    let scheme = match padding {
        Padding::Pss => SignatureScheme::RsaPss { hash_scheme },
        Padding::Pkcs1 => SignatureScheme::RsaSsa { hash_scheme },
    };
    // Says that the TPM has not seen what was hashed; keys that may sign only what it has are restricted.
    let ticket =
        TPMT_TK_HASHCHECK { tag: TPM2_ST_HASHCHECK, hierarchy: TPM2_RH_NULL, digest: Default::default() };
    let ticket = HashcheckTicket::try_from(ticket).map_err(failed("signing"))?;
    let digest = Digest::try_from(digest).map_err(failed("signing"))?;
    match context.sign(key, digest, scheme, ticket).map_err(failed("signing"))? {
        Signature::RsaSsa(signature) | Signature::RsaPss(signature) => {
            Ok(signature.signature().value().to_vec())
        }
        _ => Err(other("the TPM gave a signature of another kind than was asked")),
    }
}

pub(crate) fn exponentiate(context: &mut Context, key: KeyHandle, block: &[u8]) -> Result<Vec<u8>, Failure> {
    let block = PublicKeyRsa::try_from(block).map_err(failed("signing"))?;
    let done = context
        .rsa_decrypt(key, block, RsaDecryptionScheme::Null, Data::default())
        .map_err(failed("signing with the bare RSA operation"))?;
    Ok(done.value().to_vec())
}

pub(crate) fn auth_value(auth: &Auth) -> Result<AuthValue, Failure> {
    AuthValue::try_from(auth.value()).map_err(|_| unsupported("the authorisation value is too long"))
}

/// Does `work` with an HMAC session. One with a `salt` key also encrypts the first parameter each way.
pub(crate) fn with_hmac_session<T>(
    context: &mut Context,
    salt: Option<KeyHandle>,
    work: impl FnOnce(&mut Context, AuthSession) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let started = context.start_auth_session(
        salt,
        None,
        None,
        SessionType::Hmac,
        SymmetricDefinition::AES_128_CFB,
        HashingAlgorithm::Sha256,
    );
    let session = started.map_err(failed("starting a session"))?;
    let session = session.ok_or_else(|| other("the TPM started no session"))?;
    let secret = salt.is_some();
    let (attributes, mask) = SessionAttributesBuilder::new()
        .with_continue_session(true)
        .with_decrypt(secret)
        .with_encrypt(secret)
        .build();
    let done = match context.tr_sess_set_attributes(session, attributes, mask) {
        Ok(()) => work(context, session),
        Err(error) => Err(failed("starting a session")(error)),
    };
    let flushed = context.flush_context(SessionHandle::from(session).into());
    let done = done?;
    flushed.map_err(failed("ending a session"))?;
    Ok(done)
}

/// The storage key that our keys are children of. It has TCG's template for an SRK on P-256, as TSS2 key files
/// and tpm2-openssl expect it, and is the same one each time.
fn primary(context: &mut Context, owner: &Auth) -> Result<KeyHandle, Failure> {
    let template = storage_template().map_err(failed("describing the parent"))?;
    let made = in_hierarchy(context, ObjectHandle::Owner, owner, "making the parent of the key", |context| {
        context.create_primary(Hierarchy::Owner, template, None, None, None, None)
    });
    Ok(made?.key_handle)
}

fn storage_template() -> tss_esapi::Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_restricted(true)
        .with_decrypt(true)
        .build()?;
    let parameters = PublicEccParametersBuilder::new_restricted_decryption_key(
        SymmetricDefinitionObject::AES_128_CFB,
        EccCurve::NistP256,
    );
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters.build()?)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

/// Without a scheme of its own, so that each signature can name one. A key with an authorisation value is
/// guarded against guessing: wrong values lock the TPM.
fn signing_template(auth: &Auth, decrypts: bool) -> tss_esapi::Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(auth.is_empty())
        .with_sign_encrypt(true)
        .with_decrypt(decrypts)
        .build()?;
    rsa_template(attributes, RsaScheme::Null)
}

/// RSA-2048, named by SHA-256.
pub(crate) fn rsa_template(attributes: ObjectAttributes, scheme: RsaScheme) -> tss_esapi::Result<Public> {
    let parameters = PublicRsaParametersBuilder::new()
        .with_scheme(scheme)
        .with_key_bits(RsaKeyBits::Rsa2048)
        .with_exponent(RsaExponent::default())
        .with_symmetric(SymmetricDefinitionObject::Null)
        .with_is_signing_key(attributes.sign_encrypt())
        .with_is_decryption_key(attributes.decrypt())
        .with_restricted(attributes.restricted());
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Rsa)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_rsa_parameters(parameters.build()?)
        .with_rsa_unique_identifier(PublicKeyRsa::default())
        .build()
}
