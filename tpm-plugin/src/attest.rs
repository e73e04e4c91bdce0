//! What a TPM says about a key and about itself, signed by an attestation key.

use tss_esapi::Context;
use tss_esapi::abstraction::nv;
use tss_esapi::abstraction::pcr::PcrData;
use tss_esapi::attributes::ObjectAttributesBuilder;
use tss_esapi::handles::{KeyHandle, NvIndexTpmHandle, ObjectHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles::{Hierarchy, NvAuth};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    Data, HashScheme, PcrSelectionList, PcrSlot, Public, RsaScheme, SignatureScheme,
};
use tss_esapi::traits::Marshall;

use crate::device::in_hierarchy;
use crate::failure::{failed, other, unsupported};
use crate::interface::{Auth, Evidence, Failure};
use crate::keys;

/// Where Azure puts the attestation key of a virtual TPM, and its certificate.
const AZURE_AK: u32 = 0x8100_0003;
const AZURE_AK_CERTIFICATE: u32 = 0x01c1_01d0;

/// Has `key` certified and the PCRs quoted, both over `challenge`.
pub(crate) fn evidence(
    context: &mut Context,
    owner: &Auth,
    key: KeyHandle,
    session: AuthSession,
    challenge: &[u8],
    pcrs: &[u8],
) -> Result<Evidence, Failure> {
    let challenge =
        Data::try_from(challenge).map_err(|_| unsupported("the challenge is too long for this TPM"))?;
    let selection = selection(pcrs)?;
    let (public, _, _) = context.read_public(key).map_err(failed("reading the key"))?;
    let provided = azure_ak(context)?;
    let ak = match provided {
        Some(ak) => ak,
        None => own_ak(context)?,
    };
    let gathered = (|| {
        let ak_certificate = provided.map(|_| certificate(context, owner)).transpose()?.flatten();
        gather(context, key, &public, ak, session, challenge, selection, ak_certificate)
    })();
    let released = match provided {
        Some(_) => context.tr_close(&mut ak.into()),
        None => context.flush_context(ak.into()),
    };
    let gathered = gathered?;
    released.map_err(failed("unloading the attestation key"))?;
    Ok(gathered)
}

#[expect(clippy::too_many_arguments, reason = "each is one thing that goes into the evidence")]
fn gather(
    context: &mut Context,
    key: KeyHandle,
    public: &Public,
    ak: KeyHandle,
    session: AuthSession,
    challenge: Data,
    selection: PcrSelectionList,
    ak_certificate: Option<Vec<u8>>,
) -> Result<Evidence, Failure> {
    let (ak_public, _, _) = context.read_public(ak).map_err(failed("reading the attestation key"))?;
    let Public::Rsa { parameters, unique, .. } = &ak_public else {
        return Err(unsupported("the attestation key of this TPM is not an RSA key"));
    };
    // The scheme of the key itself.
    let scheme = SignatureScheme::Null;
    let (certification, certification_signature) = context
        .execute_with_sessions((Some(session), Some(AuthSession::Password), None), |context| {
            context.certify(key.into(), ak, challenge.clone(), scheme)
        })
        .map_err(failed("certifying the key"))?;
    let (quote, quote_signature) = context
        .execute_with_session(Some(AuthSession::Password), |context| {
            context.quote(ak, challenge, scheme, selection.clone())
        })
        .map_err(failed("quoting the PCRs"))?;
    let values = read(context, selection)?;
    let bank = values.pcr_bank(HashingAlgorithm::Sha256);
    let bank = bank.ok_or_else(|| unsupported("this TPM has no SHA-256 PCRs"))?;
    let mut pcrs: Vec<(u8, Vec<u8>)> = Vec::new();
    for (index, slot) in SLOTS.iter().enumerate() {
        if let Some(digest) = bank.get_digest(*slot) {
            pcrs.push((index as u8, digest.value().to_vec()));
        }
    }
    let marshalled = failed("reading what the TPM said");
    Ok(Evidence {
        public: public.marshall().map_err(&marshalled)?,
        certification: certification.marshall().map_err(&marshalled)?,
        certification_signature: certification_signature.marshall().map_err(&marshalled)?,
        quote: quote.marshall().map_err(&marshalled)?,
        quote_signature: quote_signature.marshall().map_err(&marshalled)?,
        pcrs,
        ak_modulus: unique.value().to_vec(),
        ak_exponent: keys::exponent(parameters.exponent()),
        ak_certificate,
    })
}

/// The values of PCRs. A TPM gives a few at a time, and none of a bank that it has not.
fn read(context: &mut Context, selection: PcrSelectionList) -> Result<PcrData, Failure> {
    let (mut left, mut values) = (selection, PcrData::new());
    while !left.is_empty() {
        let read = context.execute_without_session(|context| context.pcr_read(left.clone()));
        let (_, read, digests) = read.map_err(failed("reading the PCRs"))?;
        if digests.is_empty() {
            return Err(unsupported("this TPM has no SHA-256 PCRs, or not those that are to be quoted"));
        }
        values.add(&read, &digests).map_err(failed("reading the PCRs"))?;
        left.subtract(&read).map_err(failed("reading the PCRs"))?;
    }
    Ok(values)
}

/// The attestation key where Azure puts it, if what is there is one.
fn azure_ak(context: &mut Context) -> Result<Option<KeyHandle>, Failure> {
    if !keys::is_persistent(context, AZURE_AK)? {
        return Ok(None);
    }
    let found = keys::at(context, AZURE_AK, &[])?;
    let (public, _, _) = context.read_public(found).map_err(failed("reading the attestation key"))?;
    let attributes = public.object_attributes();
    if matches!(public, Public::Rsa { .. }) && attributes.restricted() && attributes.sign_encrypt() {
        return Ok(Some(found));
    }
    context.tr_close(&mut found.into()).map_err(failed("reading the attestation key"))?;
    Ok(None)
}

/// An attestation key of our own, where the host has none: a primary key of the endorsement hierarchy, and so
/// the same one each time, as long as the TPM is the same.
fn own_ak(context: &mut Context) -> Result<KeyHandle, Failure> {
    let template = ak_template().map_err(failed("describing the attestation key"))?;
    let made = in_hierarchy(
        context,
        ObjectHandle::Endorsement,
        &Auth::default(),
        "making the attestation key",
        |context| context.create_primary(Hierarchy::Endorsement, template, None, None, None, None),
    );
    Ok(made?.key_handle)
}

fn ak_template() -> tss_esapi::Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_restricted(true)
        .with_sign_encrypt(true)
        .build()?;
    keys::rsa_template(attributes, RsaScheme::RsaSsa(HashScheme::new(HashingAlgorithm::Sha256)))
}

/// The certificate of the attestation key that Azure provides.
fn certificate(context: &mut Context, owner: &Auth) -> Result<Option<Vec<u8>>, Failure> {
    let index = NvIndexTpmHandle::new(AZURE_AK_CERTIFICATE).map_err(failed("reading a certificate"))?;
    if !keys::is_persistent(context, AZURE_AK_CERTIFICATE)? {
        return Ok(None);
    }
    let doing = "reading the certificate of the attestation key";
    in_hierarchy(context, ObjectHandle::Owner, owner, doing, |context| {
        nv::read_full(context, NvAuth::Owner, index)
    })
    .map(Some)
}

fn selection(pcrs: &[u8]) -> Result<PcrSelectionList, Failure> {
    let slots: Option<Vec<PcrSlot>> =
        pcrs.iter().map(|index| SLOTS.get(usize::from(*index)).copied()).collect();
    let slots = slots.ok_or_else(|| unsupported("PCRs have the numbers 0 to 23"))?;
    PcrSelectionList::builder()
        .with_selection(HashingAlgorithm::Sha256, &slots)
        .build()
        .map_err(|_| other("the PCRs cannot be selected"))
}

use PcrSlot::*;

const SLOTS: [PcrSlot; 24] = [
    Slot0, Slot1, Slot2, Slot3, Slot4, Slot5, Slot6, Slot7, Slot8, Slot9, Slot10, Slot11, Slot12, Slot13,
    Slot14, Slot15, Slot16, Slot17, Slot18, Slot19, Slot20, Slot21, Slot22, Slot23,
];
