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
