//! PKCS#12 data that the openssl command cannot write: the null password, BER, PBMAC1, bags inside of bags. The file is
//! put together here; each key derivation, cipher and checksum is openssl's.

use crate::workshop::Workshop;

/// How things are encoded, X.690 section 8.1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Encoding {
    Der,
    /// Indefinite lengths, and octet strings in pieces of 100 bytes.
    Indefinite,
    /// Octet strings in pieces, and each length definite, in four bytes.
    Pieces,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Mac {
    None,
    /// With the name of its hash.
    Traditional(&'static str),
    /// With the name of its hash, and the length of its key.
    Pbmac1(&'static str, u16),
}

/// PKCS#12 data for `key.pem` and `cert.pem`, in two parts, as everybody writes it: the key, encrypted, and the
/// certificate, encrypted all around.
#[derive(Clone, Debug)]
pub(crate) struct Pfx {
    pub(crate) encoding: Encoding,
    /// `None` is the null password: zero bytes.
    pub(crate) password: Option<&'static str>,
    pub(crate) encrypted: bool,
    pub(crate) mac: Mac,
    /// In hexadecimal.
    pub(crate) salt: &'static str,
    pub(crate) rounds: u32,
    /// What the data says in place of `rounds`.
    pub(crate) claimed_rounds: Option<u32>,
    /// How many bags there are around each bag.
    pub(crate) depth: usize,
}

impl Default for Pfx {
    fn default() -> Self {
        Self {
            encoding: Encoding::Der,
            password: Some("pw"),
            encrypted: true,
            mac: Mac::Traditional("sha1"),
            salt: "0102030405060708",
            rounds: 20,
            claimed_rounds: None,
            depth: 0,
        }
    }
}

impl Pfx {
    pub(crate) fn build(&self, workshop: &Workshop) -> Vec<u8> {
        workshop.openssl("pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der");
        workshop.openssl("x509 -in cert.pem -outform DER -out cert.der");
        let encoding = self.encoding;
        let key = workshop.read("key.der");
        let key_bag = if self.encrypted {
            let content = tlv(0x04, &self.encrypt(workshop, &key));
            self.bag("1.2.840.113549.1.12.10.1.2", &encoding.sequence(&[&self.pbe(), &content]))
        } else {
            self.bag("1.2.840.113549.1.12.10.1.1", &key)
        };
        let certificate = encoding.octets(&workshop.read("cert.der"));
        let certificate = [oid("1.2.840.113549.1.9.22.1"), encoding.constructed(0xa0, &certificate)].concat();
        let certificate_bag =
            self.bag("1.2.840.113549.1.12.10.1.3", &encoding.constructed(0x30, &certificate));
        let certificate_safe = encoding.sequence(&[&certificate_bag]);
        let certificate_safe = if self.encrypted {
            let content = self.encrypt(workshop, &certificate_safe);
            // An octet string whose tag is replaced by [0]: its pieces keep theirs.
            let content = match encoding {
                Encoding::Der => tlv(0x80, &content),
                _ => encoding.constructed(0xa0, &pieces(&content)),
            };
            let info = encoding.sequence(&[&oid("1.2.840.113549.1.7.1"), &self.pbe(), &content]);
            self.content("1.2.840.113549.1.7.6", &encoding.sequence(&[&integer(0), &info]))
        } else {
            self.content("1.2.840.113549.1.7.1", &encoding.octets(&certificate_safe))
        };
        let key_safe =
            self.content("1.2.840.113549.1.7.1", &encoding.octets(&encoding.sequence(&[&key_bag])));
        let safes = encoding.sequence(&[&key_safe, &certificate_safe]);
        let safe = self.content("1.2.840.113549.1.7.1", &encoding.octets(&safes));
        encoding.sequence(&[&integer(3), &safe, &self.mac(workshop, &safes)])
    }

    /// A bag inside of as many others as it should be.
    fn bag(&self, id: &str, value: &[u8]) -> Vec<u8> {
        let bag = self.encoding.sequence(&[&oid(id), &self.encoding.constructed(0xa0, value)]);
        (0..self.depth).fold(bag, |bag, _| {
            let contents = self.encoding.constructed(0xa0, &self.encoding.sequence(&[&bag]));
            self.encoding.sequence(&[&oid("1.2.840.113549.1.12.10.1.6"), &contents])
        })
    }

    fn content(&self, kind: &str, content: &[u8]) -> Vec<u8> {
        self.encoding.sequence(&[&oid(kind), &self.encoding.constructed(0xa0, content)])
    }

    fn iterations(&self) -> Vec<u8> {
        integer(self.claimed_rounds.unwrap_or(self.rounds))
    }

    /// pbeWithSHAAnd3-KeyTripleDES-CBC
    fn pbe(&self) -> Vec<u8> {
        let parameters = self.encoding.sequence(&[&tlv(0x04, &bytes(self.salt)), &self.iterations()]);
        self.encoding.sequence(&[&oid("1.2.840.113549.1.12.1.3"), &parameters])
    }

    fn encrypt(&self, workshop: &Workshop, plain: &[u8]) -> Vec<u8> {
        workshop.write("plain", plain);
        let key = self.derive(workshop, "sha1", 1, 24);
        let iv = self.derive(workshop, "sha1", 2, 8);
        workshop.openssl(&format!("enc -des-ede3-cbc -K {key} -iv {iv} -in plain -out encrypted"));
        workshop.read("encrypted")
    }

    fn mac(&self, workshop: &Workshop, content: &[u8]) -> Vec<u8> {
        let salt = self.salt;
        let (hash, algorithm, key) = match self.mac {
            Mac::None => return Vec::new(),
            Mac::Traditional(hash) => {
                (hash, hash_oid(hash), self.derive(workshop, hash, 3, hash_length(hash)))
            }
            Mac::Pbmac1(hash, length) => {
                let password = hex(self.password.unwrap_or_default().as_bytes());
                let password =
                    if password.is_empty() { "pass:".to_owned() } else { format!("hexpass:{password}") };
                let key = workshop.openssl(&format!(
                    "kdf -keylen {length} -kdfopt digest:{hash} -kdfopt {password} -kdfopt hexsalt:{salt} -kdfopt \
                     iter:{} PBKDF2",
                    self.rounds
                ));
                (hash, self.pbmac1(hash, length), key.trim().replace(':', ""))
            }
        };
        workshop.write("content", content);
        let mac = workshop.openssl(&format!("dgst -{hash} -mac HMAC -macopt hexkey:{key} content"));
        let mac = bytes(mac.trim().rsplit(' ').next().unwrap());
        let info = self.encoding.sequence(&[&algorithm, &self.encoding.octets(&mac)]);
        self.encoding.sequence(&[&info, &tlv(0x04, &bytes(self.salt)), &self.iterations()])
    }

    /// RFC 9579 section 4.
    fn pbmac1(&self, hash: &str, length: u16) -> Vec<u8> {
        let hmac = self.encoding.sequence(&[&hmac_oid(hash), &tlv(0x05, &[])]);
        let parameters = self.encoding.sequence(&[
            &tlv(0x04, &bytes(self.salt)),
            &self.iterations(),
            &integer(length.into()),
            &hmac,
        ]);
        let kdf = self.encoding.sequence(&[&oid("1.2.840.113549.1.5.12"), &parameters]);
        self.encoding.sequence(&[&oid("1.2.840.113549.1.5.14"), &self.encoding.sequence(&[&kdf, &hmac])])
    }

    /// RFC 7292 appendix B, in hexadecimal.
    fn derive(&self, workshop: &Workshop, hash: &str, id: u8, length: usize) -> String {
        let salt = self.salt;
        let password: Vec<u8> = self
            .password
            .map(|text| text.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect())
            .unwrap_or_default();
        let key = workshop.openssl(&format!(
            "kdf -keylen {length} -kdfopt digest:{hash} -kdfopt hexpass:{} -kdfopt hexsalt:{salt} -kdfopt iter:{} \
             -kdfopt id:{id} PKCS12KDF",
            hex(&password),
            self.rounds
        ));
        key.trim().replace(':', "")
    }
}

impl Encoding {
    fn sequence(self, elements: &[&[u8]]) -> Vec<u8> {
        self.constructed(0x30, &elements.concat())
    }

    fn constructed(self, tag: u8, content: &[u8]) -> Vec<u8> {
        match self {
            Self::Der => tlv(tag, content),
            Self::Indefinite => [&[tag, 0x80][..], content, &[0, 0]].concat(),
            Self::Pieces => {
                let length = u32::try_from(content.len()).unwrap().to_be_bytes();
                [&[tag, 0x84][..], &length, content].concat()
            }
        }
    }

    fn octets(self, content: &[u8]) -> Vec<u8> {
        match self {
            Self::Der => tlv(0x04, content),
            _ => self.constructed(0x24, &pieces(content)),
        }
    }
}

fn pieces(content: &[u8]) -> Vec<u8> {
    content.chunks(100).flat_map(|piece| tlv(0x04, piece)).collect()
}

/// In DER.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let [high, low] = length.to_be_bytes();
    let header = match length {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [&header, content].concat()
}

fn integer(number: u32) -> Vec<u8> {
    let bytes = u64::from(number).to_be_bytes();
    // One bit more than it has, for the sign.
    tlv(0x02, &bytes[(u64::from(number).leading_zeros() as usize - 1) / 8..])
}

fn oid(text: &str) -> Vec<u8> {
    let numbers: Vec<u32> = text.split('.').map(|number| number.parse().unwrap()).collect();
    let mut content = vec![u8::try_from(numbers[0] * 40 + numbers[1]).unwrap()];
    for number in &numbers[2..] {
        let digits = (32 - number.leading_zeros()).div_ceil(7).max(1);
        content.extend((0..digits).rev().map(|digit| {
            let more = if digit == 0 { 0 } else { 0x80 };
            (number >> (7 * digit)) as u8 & 0x7f | more
        }));
    }
    tlv(0x06, &content)
}

fn hash_oid(hash: &str) -> Vec<u8> {
    let name = match hash {
        "sha1" => "1.3.14.3.2.26",
        "sha256" => "2.16.840.1.101.3.4.2.1",
        other => unreachable!("{other}"),
    };
    tlv(0x30, &[oid(name), tlv(0x05, &[])].concat())
}

fn hmac_oid(hash: &str) -> Vec<u8> {
    oid(match hash {
        "sha1" => "1.2.840.113549.2.7",
        "sha224" => "1.2.840.113549.2.8",
        "sha256" => "1.2.840.113549.2.9",
        "sha384" => "1.2.840.113549.2.10",
        "sha512" => "1.2.840.113549.2.11",
        other => unreachable!("{other}"),
    })
}

fn hash_length(hash: &str) -> usize {
    if hash == "sha1" { 20 } else { 32 }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|index| u8::from_str_radix(&hex[index..index + 2], 16).unwrap()).collect()
}
