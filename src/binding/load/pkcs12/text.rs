//! PKCS#12 as it is handed around: the bytes themselves, or base64 text of them.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::binding::load::ber::starts_like_pfx;

/// Padding is lost easily on the way, and is not needed.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// So much of base64 text shows what it starts with.
const START: usize = 16;

/// The PKCS#12 data that `data` is, be it base64 text: as `az keyvault secret show` and `certutil -encode` write it, with
/// line breaks, quotes, a BOM, in UTF-16, inside of BEGIN and END lines. `None` where it is something else.
pub(in crate::binding::load) fn find(data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if starts_like_pfx(data) {
        return Some(Zeroizing::new(data.to_vec()));
    }
    let base64 = only_base64(data);
    // Not all of it at once: it may be PEM as well, whose key is nobody's business here.
    let start = BASE64.decode(&base64[..base64.len().min(START)]).ok()?;
    starts_like_pfx(&start).then(|| decode(&base64)).flatten()
}

fn decode(base64: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // Also where an error ends it, no copy of a key stays behind.
    let mut decoded = Zeroizing::new(vec![0; base64.len().div_ceil(4) * 3]);
    let length = BASE64.decode_slice(base64, &mut decoded).ok()?;
    decoded.truncate(length);
    Some(decoded)
}

/// Without what is put around and between base64.
fn only_base64(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"]
        .iter()
        .find_map(|bom| text.strip_prefix(*bom))
        .unwrap_or(text);
    // In UTF-16, each other byte of ASCII text is 0.
    let is_noise = |byte: u8| byte == 0 || byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
    let mut base64 = Zeroizing::new(Vec::with_capacity(text.len()));
    for line in text.split(|byte| *byte == b'\n') {
        let start = base64.len();
        base64.extend(line.iter().copied().filter(|byte| !is_noise(*byte)));
        if base64[start..].starts_with(b"-----") {
            base64.truncate(start);
        }
    }
    base64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PFX: &[u8] = b"\x30\x80\x02\x01\x03\x30\x80\x06\x00\x00\x00\x00\x00";

    /// Is base64 text found out in each dress that it is met in?
    #[test]
    fn base64_is_found_out() {
        let plain = base64::engine::general_purpose::STANDARD.encode(PFX);
        let (first, second) = plain.split_at(9);
        let utf16 = |bom: u16, turn: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let text = format!("{plain}\r\n");
            std::iter::once(bom).chain(text.encode_utf16()).flat_map(turn).collect()
        };
        for text in [
            plain.clone().into_bytes(),
            format!("{plain}\n").into_bytes(),
            format!("\"{plain}\"\n").into_bytes(),
            format!("\u{feff} '{first}\r\n{second}'\r\n").into_bytes(),
            plain.trim_end_matches('=').as_bytes().to_vec(),
            utf16(0xfeff, u16::to_le_bytes),
            utf16(0xfeff, u16::to_be_bytes),
            format!("-----BEGIN CERTIFICATE-----\r\n{first}\r\n{second}\r\n-----END CERTIFICATE-----\r\n")
                .into_bytes(),
        ] {
            assert_eq!(find(&text).unwrap().as_slice(), PFX, "{:?}", String::from_utf8_lossy(&text));
        }
        assert_eq!(find(PFX).unwrap().as_slice(), PFX);
    }

    /// Is what is not PKCS#12 left alone?
    #[test]
    fn other_things_are_left_alone() {
        for other in
            ["", "MII", "text", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "MAMCAQA="]
        {
            assert!(find(other.as_bytes()).is_none(), "{other}");
        }
    }
}
