//! BER made DER: each length definite and short, each octet string in one piece. What is inside of octet strings is not
//! touched, nor the order of sets.

use zeroize::Zeroizing;

/// Deeper than any PKCS#12 data has been seen; here recursion ends.
const MAX_DEPTH: usize = 64;

pub(super) const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;
const OCTET_STRING_IN_PIECES: u8 = 0x24;
const CONSTRUCTED: u8 = 0x20;
const LONG_TAG: u8 = 0x1f;
const END_OF_CONTENTS: [u8; 2] = [0, 0];

/// The one element that `data` is, as DER. `None` where it is malformed, or something follows it.
pub(super) fn to_der(data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // DER is longer only where an indefinite length becomes one of three bytes and more. With room for all of it the
    // buffer never moves and leaves no copy behind.
    let mut der = Zeroizing::new(Vec::with_capacity(data.len() + data.len() / 8));
    element(data, 0, &mut der)?.is_empty().then_some(der)
}

/// What the octet strings hold that `der` consists of.
pub(super) fn join(mut der: &[u8]) -> Option<Vec<u8>> {
    let mut joined = Vec::with_capacity(der.len());
    while !der.is_empty() {
        let (header, data) = read_header(der)?;
        if header.tag != OCTET_STRING {
            return None;
        }
        der = contents(&header, data, 0, &mut joined)?;
    }
    Some(joined)
}

/// Whether `data` starts like a PFX: a sequence whose first element is the version, 3.
pub(super) fn starts_like_pfx(data: &[u8]) -> bool {
    read_header(data)
        .is_some_and(|(header, content)| header.tag == SEQUENCE && content.starts_with(&[2, 1, 3]))
}

struct Header {
    tag: u8,
    /// `None` where it is indefinite.
    length: Option<usize>,
}

impl Header {
    fn is_octet_string(&self) -> bool {
        matches!(self.tag, OCTET_STRING | OCTET_STRING_IN_PIECES)
    }
}

/// Writes the first element of `data`, and returns what follows it.
fn element<'a>(data: &'a [u8], depth: usize, der: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (header, data) = read_header(data)?;
    let start = der.len();
    let rest = contents(&header, data, depth, der)?;
    let tag = if header.is_octet_string() { OCTET_STRING } else { header.tag };
    let (bytes, used) = der_header(tag, der.len() - start);
    der.splice(start..start, bytes.into_iter().take(used));
    Some(rest)
}

/// Writes what an element holds, and returns what follows the element.
fn contents<'a>(header: &Header, data: &'a [u8], depth: usize, der: &mut Vec<u8>) -> Option<&'a [u8]> {
    if depth > MAX_DEPTH {
        return None;
    }
    if header.tag & CONSTRUCTED == 0 {
        let (content, rest) = data.split_at_checked(header.length?)?;
        der.extend_from_slice(content);
        return Some(rest);
    }
    let (mut inside, after) = match header.length {
        Some(length) => data.split_at_checked(length).map(|(inside, after)| (inside, Some(after)))?,
        None => (data, None),
    };
    loop {
        match after {
            Some(after) if inside.is_empty() => return Some(after),
            None if inside.starts_with(&END_OF_CONTENTS) => return Some(&inside[END_OF_CONTENTS.len()..]),
            _ => {}
        }
        inside = if header.tag == OCTET_STRING_IN_PIECES {
            let (piece, data) = read_header(inside)?;
            if !piece.is_octet_string() {
                return None;
            }
            contents(&piece, data, depth + 1, der)?
        } else {
            element(inside, depth + 1, der)?
        };
    }
}

/// Tag and length, and what follows them. Tags of more than one byte do not occur in PKCS#12.
fn read_header(data: &[u8]) -> Option<(Header, &[u8])> {
    let (&[tag, first], rest) = data.split_first_chunk::<2>()?;
    if tag == 0 || tag & LONG_TAG == LONG_TAG {
        return None;
    }
    if first == 0x80 {
        return Some((Header { tag, length: None }, rest));
    }
    if first < 0x80 {
        return Some((Header { tag, length: Some(first.into()) }, rest));
    }
    let (bytes, rest) = rest.split_at_checked((first & 0x7f).into())?;
    let length = bytes.iter().try_fold(0_usize, |length, &byte| {
        length.checked_mul(0x100).map(|length| length | usize::from(byte))
    })?;
    Some((Header { tag, length: Some(length) }, rest))
}

/// Tag and length in DER, and how many bytes of it they are.
fn der_header(tag: u8, length: usize) -> ([u8; 10], usize) {
    let mut bytes = [tag; 10];
    if length < 0x80 {
        bytes[1] = length as u8;
        return (bytes, 2);
    }
    let digits = length.to_be_bytes();
    let digits = &digits[length.leading_zeros() as usize / 8..];
    bytes[1] = 0x80 | digits.len() as u8;
    bytes[2..][..digits.len()].copy_from_slice(digits);
    (bytes, 2 + digits.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(ber: &[u8]) -> Option<Vec<u8>> {
        to_der(ber).map(|der| der.to_vec())
    }

    /// Is each of BER's freedoms (X.690 section 8.1) turned into the one form of DER?
    #[test]
    fn freedoms_are_taken_away() {
        for (ber, expected) in [
            (&[0x30, 3, 2, 1, 3][..], &[0x30, 3, 2, 1, 3][..]),
            (&[0x30, 0x80, 2, 1, 3, 0, 0], &[0x30, 3, 2, 1, 3]),
            (&[0x30, 0x83, 0, 0, 4, 2, 0x81, 1, 3], &[0x30, 3, 2, 1, 3]),
            (&[0x24, 0x80, 4, 1, 7, 4, 0, 4, 2, 8, 9, 0, 0], &[4, 3, 7, 8, 9]),
            (&[0x24, 6, 4, 1, 7, 4, 1, 8], &[4, 2, 7, 8]),
            (&[0x24, 0x80, 0x24, 0x80, 4, 1, 7, 0, 0, 4, 1, 8, 0, 0], &[4, 2, 7, 8]),
            (&[0xa0, 0x80, 0x24, 0x80, 4, 1, 7, 0, 0, 0, 0], &[0xa0, 3, 4, 1, 7]),
            // An implicit tag hides what is in pieces: who knows the type puts them together.
            (&[0xa0, 0x80, 4, 1, 7, 4, 1, 8, 0, 0], &[0xa0, 6, 4, 1, 7, 4, 1, 8]),
        ] {
            assert_eq!(der(ber).as_deref(), Some(expected), "{ber:02x?}");
        }
        for long in [0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            let pieces: Vec<u8> = (0..long).flat_map(|_| [4, 1, 7]).collect();
            let der = der(&[&[0x24, 0x80][..], &pieces, &[0, 0]].concat()).unwrap();
            let (header, content) = read_header(&der).unwrap();
            assert_eq!((header.length, content), (Some(long), vec![7; long].as_slice()));
        }
    }

    /// Is what is not BER refused, however long or deep it says that it is?
    #[test]
    fn what_is_malformed_is_refused() {
        for malformed in [
            &[][..],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0x80, 0],
            &[0x30, 1],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x30, 0xff],
            &[0x30, 3, 2, 1, 3, 0],
            &[4, 0x80, 0, 0],
            &[0, 0],
            &[0x30, 2, 0, 0],
            &[0x1f, 0x20, 0],
            &[0x24, 3, 2, 1, 3],
            &[0x30, 2, 2, 1, 3],
        ] {
            assert_eq!(der(malformed), None, "{malformed:02x?}");
        }
        for deep in [&[0x30, 0x80][..], &[0x24, 0x80]] {
            let nested = |levels| [deep.repeat(levels), END_OF_CONTENTS.repeat(levels)].concat();
            assert!(der(&nested(MAX_DEPTH + 1)).is_some());
            assert_eq!(der(&nested(MAX_DEPTH + 2)), None);
            assert_eq!(der(&nested(500_000)), None);
        }
    }
}
