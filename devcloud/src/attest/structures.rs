//! Just enough of the TPM's structures (TPM 2.0 Library, part 2) to judge what it attests.

pub(super) const SHA1: u16 = 0x0004;
pub(super) const SHA256: u16 = 0x000b;
pub(super) const SHA384: u16 = 0x000c;
pub(super) const SHA512: u16 = 0x000d;
pub(super) const RSASSA: u16 = 0x0014;
pub(super) const RSAPSS: u16 = 0x0016;

const RSA: u16 = 0x0001;
const NULL: u16 = 0x0010;
const RSAES: u16 = 0x0015;
const OAEP: u16 = 0x0017;

/// Whatever a TPM attests begins with it, and a restricted key signs nothing else that does.
const GENERATED: u32 = 0xff54_4347;
const ATTEST_CERTIFY: u16 = 0x8017;
const ATTEST_QUOTE: u16 = 0x8018;

/// TPMT_PUBLIC of an RSA key.
#[derive(Debug)]
pub(super) struct Public<'a> {
    pub(super) name_algorithm: u16,
    pub(super) attributes: u32,
    pub(super) bits: u16,
    pub(super) modulus: &'a [u8],
    pub(super) exponent: u32,
}

/// TPMS_ATTEST of TPM2_Certify.
#[derive(Debug)]
pub(super) struct Certified<'a> {
    pub(super) extra_data: &'a [u8],
    pub(super) name: &'a [u8],
}

/// TPMS_ATTEST of TPM2_Quote.
#[derive(Debug)]
pub(super) struct Quoted<'a> {
    pub(super) extra_data: &'a [u8],
    pub(super) selections: Vec<Selection>,
    pub(super) digest: &'a [u8],
}

/// TPMS_PCR_SELECTION: the PCRs of a bank, ascending.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) algorithm: u16,
    pub(super) indices: Vec<u8>,
}

/// TPMT_SIGNATURE with an RSA key.
#[derive(Debug)]
pub(super) struct Signature<'a> {
    pub(super) scheme: u16,
    pub(super) hash: u16,
    pub(super) bytes: &'a [u8],
}

impl<'a> Public<'a> {
    pub(super) fn parse(bytes: &'a [u8], what: &'a str) -> Result<Self, String> {
        let mut reader = Reader { rest: bytes, what };
        let kind = reader.u16()?;
        if kind != RSA {
            return Err(format!("{what}: the key must be RSA (type 0x0001), its type is 0x{kind:04x}"));
        }
        let (name_algorithm, attributes) = (reader.u16()?, reader.u32()?);
        let _policy = reader.sized()?;
        // Of a key that signs only: no symmetric algorithm, and perhaps a scheme of its own.
        let symmetric = reader.u16()?;
        if symmetric != NULL {
            return Err(format!("{what}: symmetric must be TPM_ALG_NULL, it is 0x{symmetric:04x}"));
        }
        match reader.u16()? {
            NULL | RSAES => {}
            RSASSA | RSAPSS | OAEP => {
                let _hash = reader.u16()?;
            }
            scheme => return Err(format!("{what}: 0x{scheme:04x} is no scheme of an RSA key")),
        }
        let (bits, exponent, modulus) = (reader.u16()?, reader.u32()?, reader.sized()?);
        reader.end()?;
        let exponent = if exponent == 0 { 65537 } else { exponent };
        Ok(Public { name_algorithm, attributes, bits, modulus, exponent })
    }
}

impl<'a> Certified<'a> {
    pub(super) fn parse(bytes: &'a [u8], what: &'a str) -> Result<Self, String> {
        let mut reader = Reader { rest: bytes, what };
        let extra_data = reader.attest(ATTEST_CERTIFY, "TPM_ST_ATTEST_CERTIFY")?;
        let (name, _qualified_name) = (reader.sized()?, reader.sized()?);
        reader.end()?;
        Ok(Certified { extra_data, name })
    }
}

impl<'a> Quoted<'a> {
    pub(super) fn parse(bytes: &'a [u8], what: &'a str) -> Result<Self, String> {
        let mut reader = Reader { rest: bytes, what };
        let extra_data = reader.attest(ATTEST_QUOTE, "TPM_ST_ATTEST_QUOTE")?;
        let banks = reader.u32()?;
        let selections = (0..banks).map(|_| reader.selection()).collect::<Result<_, _>>()?;
        let digest = reader.sized()?;
        reader.end()?;
        Ok(Quoted { extra_data, selections, digest })
    }
}

impl<'a> Signature<'a> {
    pub(super) fn parse(bytes: &'a [u8], what: &'a str) -> Result<Self, String> {
        let mut reader = Reader { rest: bytes, what };
        let scheme = reader.u16()?;
        if ![RSASSA, RSAPSS].contains(&scheme) {
            return Err(format!("{what} must be RSASSA or RSAPSS (0x0014, 0x0016), it is 0x{scheme:04x}"));
        }
        let (hash, bytes) = (reader.u16()?, reader.sized()?);
        reader.end()?;
        Ok(Signature { scheme, hash, bytes })
    }
}

/// Fields that follow one another. `what` names the whole in errors.
struct Reader<'a> {
    rest: &'a [u8],
    what: &'a str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let short = || format!("{} is cut short", self.what);
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(short)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, String> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_be_bytes)
    }

    /// A TPM2B: its size, then so many bytes.
    fn sized(&mut self) -> Result<&'a [u8], String> {
        let size = self.u16()?;
        self.take(usize::from(size))
    }

    /// What every TPMS_ATTEST begins with; returns extraData.
    fn attest(&mut self, wanted: u16, name: &str) -> Result<&'a [u8], String> {
        let what = self.what;
        if self.u32()? != GENERATED {
            return Err(format!("{what}: magic is not TPM_GENERATED: no TPM made this"));
        }
        let kind = self.u16()?;
        if kind != wanted {
            return Err(format!("{what}: type must be {name} (0x{wanted:04x}), it is 0x{kind:04x}"));
        }
        let (_qualified_signer, extra_data) = (self.sized()?, self.sized()?);
        let _clock_and_firmware = self.take(8 + 4 + 4 + 1 + 8)?;
        Ok(extra_data)
    }

    fn selection(&mut self) -> Result<Selection, String> {
        let (algorithm, size) = (self.u16()?, self.u8()?);
        let bitmap = self.take(usize::from(size))?;
        let chosen =
            |index: &u8| bitmap.get(usize::from(index / 8)).is_some_and(|byte| byte >> (index % 8) & 1 == 1);
        Ok(Selection { algorithm, indices: (0..=u8::MAX).filter(chosen).collect() })
    }

    fn end(&self) -> Result<(), String> {
        let more = self.rest.len();
        if more == 0 { Ok(()) } else { Err(format!("{} has {more} bytes more than it should", self.what)) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// TPMS_ATTEST of a quote: PCR 0, 9 and 23 of the SHA-256 bank, none of the SHA-1 bank.
    fn quote() -> Vec<u8> {
        let head = [&GENERATED.to_be_bytes()[..], &[0x80, 0x18], &[0, 2, 7, 7], &[0, 3, 1, 2, 3], &[0; 25]];
        let selections = [&[0, 0, 0, 2][..], &[0, 11, 3, 0x01, 0x02, 0x80], &[0, 4, 3, 0, 0, 0]];
        [head.concat(), selections.concat(), vec![0, 1, 9]].concat()
    }

    /// TPMT_PUBLIC with this scheme: a modulus of two bytes and the exponent that is not said.
    fn public(scheme: &[u8]) -> Vec<u8> {
        let head = [0, 1, 0, 11, 0, 4, 0, 0x72, 0, 1, 0xff, 0, 0x10];
        [&head[..], scheme, &[8, 0], &[0; 4], &[0, 2, 0xab, 0xcd]].concat()
    }

    /// Are the fields where the specification puts them?
    #[test]
    fn fields_are_read_in_their_order() {
        let quote = quote();
        let quoted = Quoted::parse(&quote, "quote").unwrap();
        assert_eq!((quoted.extra_data, quoted.digest), (&[1, 2, 3][..], &[9][..]));
        let bank = |algorithm, indices: &[u8]| Selection { algorithm, indices: indices.to_vec() };
        assert_eq!(quoted.selections, [bank(SHA256, &[0, 9, 23]), bank(SHA1, &[])]);

        for scheme in [&[0, 0x10][..], &[0, 0x15], &[0, 0x14, 0, 11], &[0, 0x16, 0, 11], &[0, 0x17, 0, 4]] {
            let bytes = public(scheme);
            let public = Public::parse(&bytes, "public").unwrap();
            assert_eq!((public.name_algorithm, public.attributes), (SHA256, 0x0004_0072));
            assert_eq!((public.bits, public.exponent, public.modulus), (2048, 65537, &[0xab, 0xcd][..]));
        }
        assert!(Public::parse(&public(&[0, 0x18, 0, 11]), "public").unwrap_err().contains("no scheme"));
    }

    /// Is a structure refused when any byte at its end is missing, or one is there too many?
    #[test]
    fn structures_end_where_they_should() {
        let parse_quote = |bytes: &[u8]| Quoted::parse(bytes, "it").map(drop);
        let parse_public = |bytes: &[u8]| Public::parse(bytes, "it").map(drop);
        let parse_signature = |bytes: &[u8]| Signature::parse(bytes, "it").map(drop);
        let signature = vec![0, 0x14, 0, 11, 0, 1, 5];
        type Parse<'a> = &'a dyn Fn(&[u8]) -> Result<(), String>;
        let all: [(Parse<'_>, Vec<u8>); 3] =
            [(&parse_quote, quote()), (&parse_public, public(&[0, 0x10])), (&parse_signature, signature)];
        for (parse, mut bytes) in all {
            parse(&bytes).unwrap();
            for length in 0..bytes.len() {
                assert_eq!(parse(&bytes[..length]).unwrap_err(), "it is cut short", "{length}");
            }
            bytes.push(0);
            assert_eq!(parse(&bytes).unwrap_err(), "it has 1 bytes more than it should");
        }
    }
}
