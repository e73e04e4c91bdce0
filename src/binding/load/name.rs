//! Names of certificates, so that two that mean the same are equal: RFC 5280, section 7.1.

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::prelude::X509Name;

/// A name without what does not count: the type of its strings, upper and lower case, white space around and
/// between words, and the order of what stands side by side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name(Vec<Vec<(Vec<u8>, Value)>>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Value {
    Text(String),
    /// What is no text is compared as it is.
    Other(u32, Vec<u8>),
}

impl From<&X509Name<'_>> for Name {
    fn from(name: &X509Name<'_>) -> Self {
        let rdns = name.iter_rdn().map(|rdn| {
            let mut attributes: Vec<_> = rdn
                .iter()
                .map(|attribute| {
                    let value = attribute.attr_value();
                    let text = text(value).map(|text| Value::Text(folded(&text)));
                    let value = text.unwrap_or_else(|| Value::Other(value.tag().0, value.data.to_vec()));
                    (attribute.attr_type().as_bytes().to_vec(), value)
                })
                .collect();
            attributes.sort();
            attributes
        });
        Self(rdns.collect())
    }
}

fn text(value: &Any<'_>) -> Option<String> {
    let data = value.data;
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            str::from_utf8(data).ok().map(str::to_owned)
        }
        // What is found in them is Latin 1.
        Tag::T61String => Some(data.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let (units, rest) = data.as_chunks::<2>();
            rest.is_empty().then_some(())?;
            char::decode_utf16(units.iter().map(|unit| u16::from_be_bytes(*unit)))
                .collect::<Result<_, _>>()
                .ok()
        }
        Tag::UniversalString => {
            let (units, rest) = data.as_chunks::<4>();
            rest.is_empty().then_some(())?;
            units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit))).collect()
        }
        _ => None,
    }
}

fn folded(text: &str) -> String {
    text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use x509_parser::prelude::FromDer;

    use super::*;

    const UTF8: u8 = 12;
    const PRINTABLE: u8 = 19;
    const T61: u8 = 20;
    const IA5: u8 = 22;
    const UNIVERSAL: u8 = 28;
    const BMP: u8 = 30;
    const OCTETS: u8 = 4;

    fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(contents.len()).unwrap()], contents].concat()
    }

    /// The last byte of the type (2.5.4.x), the tag and the value.
    type Attribute<'a> = (u8, u8, &'a [u8]);

    fn name(rdns: &[&[Attribute<'_>]]) -> Name {
        let attribute = |(kind, tag, value): &Attribute<'_>| {
            der(0x30, &[der(6, &[0x55, 4, *kind]), der(*tag, value)].concat())
        };
        let rdn = |attributes: &&[Attribute<'_>]| {
            der(0x31, &attributes.iter().map(attribute).collect::<Vec<_>>().concat())
        };
        let der = der(0x30, &rdns.iter().map(rdn).collect::<Vec<_>>().concat());
        Name::from(&X509Name::from_der(&der).unwrap().1)
    }

    fn common_name(tag: u8, value: &[u8]) -> Name {
        name(&[&[(3, tag, value)]])
    }

    /// Which names are the same (RFC 5280, section 7.1), and which are not?
    #[test]
    fn what_counts_in_a_name() {
        let one = common_name(UTF8, "M\u{fc}ller CA".as_bytes());
        for same in [
            common_name(UTF8, " m\u{dc}LLER \t ca ".as_bytes()),
            common_name(T61, b"M\xfcller CA"),
            common_name(BMP, b"\0M\0\xfc\0l\0l\0e\0r\0 \0C\0A"),
            common_name(
                UNIVERSAL,
                &"M\u{fc}ller CA".chars().flat_map(|c| u32::from(c).to_be_bytes()).collect::<Vec<_>>(),
            ),
        ] {
            assert_eq!(one, same);
        }
        assert_eq!(common_name(PRINTABLE, b"root"), common_name(IA5, b"ROOT"));
        for other in [
            common_name(UTF8, b"Muller CA"),
            common_name(UTF8, "M\u{fc}llerCA".as_bytes()),
            common_name(OCTETS, "M\u{fc}ller CA".as_bytes()),
            name(&[&[(10, UTF8, "M\u{fc}ller CA".as_bytes())]]),
            name(&[]),
        ] {
            assert_ne!(one, other);
        }
        // What is no text counts as it is.
        assert_ne!(common_name(OCTETS, b"a"), common_name(OCTETS, b"A"));
        assert_ne!(common_name(UTF8, b"\xff"), common_name(UTF8, b"\xfe"));
        assert_ne!(common_name(BMP, b"a"), common_name(BMP, b"A"));
    }

    /// Does the order count between RDNs, and not within one?
    #[test]
    fn the_order_of_a_set_does_not_count() {
        let [unit, common]: [Attribute<'_>; 2] = [(11, UTF8, b"unit"), (3, UTF8, b"name")];
        assert_eq!(name(&[&[unit, common]]), name(&[&[common, unit]]));
        assert_ne!(name(&[&[unit], &[common]]), name(&[&[common], &[unit]]));
        assert_ne!(name(&[&[unit, common]]), name(&[&[unit], &[common]]));
    }
}
