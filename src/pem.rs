//! Reading PEM as people have it (RFC 7468 and what tools, editors and copying make of it): every block of a text is
//! found, or the line that is in the way is named.

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use der::{Decode, Length, Reader as _, SliceReader};
use zeroize::Zeroizing;

const DASHES: &[u8] = b"-----";
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const WIDE_DASHES: &[u8] = b"-\0-\0-\0-";
const LONGEST_LABEL: usize = 64;
const TRUSTED: &str = "TRUSTED CERTIFICATE";

/// What stands beside certificates and keys, and holds neither.
const NEITHER: [&str; 14] = [
    "ATTRIBUTE CERTIFICATE",
    "CERTIFICATE REQUEST",
    "DH PARAMETERS",
    "DSA PARAMETERS",
    "DSA PUBLIC KEY",
    "EC PARAMETERS",
    "ECDSA PUBLIC KEY",
    "NEW CERTIFICATE REQUEST",
    "PARAMETERS",
    "PUBLIC KEY",
    "RSA PUBLIC KEY",
    "SSL SESSION PARAMETERS",
    "X509 CRL",
    "X9.42 DH PARAMETERS",
];

/// OpenSSL does not mind bits that are left over in the last character.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// What stands between BEGIN and END.
pub(crate) struct Block {
    pub(crate) label: String,
    /// That of its BEGIN, from 1.
    pub(crate) line: usize,
    pub(crate) contents: Zeroizing<Vec<u8>>,
    /// In OpenSSL's way of before PKCS#8: "Proc-Type: 4,ENCRYPTED".
    pub(crate) encrypted: bool,
}

/// All blocks of `text`, in their order. The error is one line that names the line it is about.
pub(crate) fn blocks(text: &[u8]) -> Result<Vec<Block>, String> {
    let narrow = from_utf16(text)?;
    let text = narrow.as_ref().map_or(text, |text| text.as_bytes());
    let mut reader = Reader { text: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text), at: 0, line: 1 };
    let mut blocks = Vec::new();
    while let Some(label) = reader.begin()? {
        blocks.push(reader.block(label)?);
    }
    Ok(blocks)
}

impl Block {
    pub(crate) fn is_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }

    /// The DER of a certificate. `None` for what holds neither a certificate nor a private key; an error for what
    /// may hold one that is not read.
    pub(crate) fn certificate(&self) -> Result<Option<&[u8]>, String> {
        let (line, label) = (self.line, &self.label);
        match label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" | TRUSTED => match first_value(&self.contents) {
                // As for OpenSSL, what follows does not matter.
                Some((certificate, _)) => Ok(Some(certificate)),
                None => Err(format!("line {line}: a certificate in it is malformed")),
            },
            neither if NEITHER.contains(&neither) => Ok(None),
            "PKCS7" => Err(format!(
                "line {line}: a PKCS7 block is not read, take the certificates out of it with: openssl pkcs7 \
                 -print_certs -in FILE -out CERTIFICATES.pem"
            )),
            _ => Err(format!("line {line}: a block of the type {label:?} is not read, take it out")),
        }
    }

    /// What OpenSSL's TRUSTED CERTIFICATE says about the certificate, behind it; nothing in others.
    pub(crate) fn trust(&self) -> &[u8] {
        match first_value(&self.contents) {
            Some((_, trust)) if self.label == TRUSTED => trust,
            _ => &[],
        }
    }
}

/// Where reading has got to.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl Reader<'_> {
    /// Goes behind the next BEGIN; its label. What else is there is for people.
    fn begin(&mut self) -> Result<Option<String>, String> {
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            // Not the whole line first: there may be a great many blocks in one.
            let is_end = |at: &usize| is_line_end(rest[*at]) || rest[*at..].starts_with(BEGIN);
            let (line, rest) = rest.split_at((0..rest.len()).find(is_end).unwrap_or(rest.len()));
            if line.trim_ascii_start().starts_with(b"#") {
                self.advance(first_line(&self.text[self.at..]).len() + 1);
            } else if let Some(label) = rest.strip_prefix(BEGIN) {
                let label = &label[..label.len().min(LONGEST_LABEL + DASHES.len())];
                let label = find(label, DASHES).map(|length| &label[..length]);
                self.advance(line.len());
                let length = BEGIN.len() + label.unwrap_or_default().len() + DASHES.len();
                let label = label.and_then(label_text).ok_or_else(|| self.fault(MANGLED))?;
                self.advance(length);
                return Ok(Some(label));
            } else if is_mangled(line, rest.is_empty()) {
                return Err(self.fault(MANGLED));
            } else {
                self.advance(line.len() + 1);
            }
        }
        Ok(None)
    }

    /// The rest of a block, to behind its END.
    fn block(&mut self, label: String) -> Result<Block, String> {
        let line = self.line;
        let rest = &self.text[self.at..];
        let length = find(rest, DASHES).ok_or_else(|| {
            format!("line {line}: the {label} block that begins there has no END line, the text was cut off")
        })?;
        let (mut contents, encrypted) = self.base64(self.at + length)?;
        decode(&mut contents).ok_or_else(|| {
            format!("line {line}: the base64 of the {label} block there is malformed or cut off")
        })?;
        let tail = &self.text[self.at..];
        let end = tail.strip_prefix(END).and_then(|tail| Some((tail, find(tail, DASHES)?)));
        match end {
            Some((tail, length)) if label_text(&tail[..length]).as_ref() == Some(&label) => {
                self.advance(END.len() + length + DASHES.len());
                Ok(Block { label, line, contents, encrypted })
            }
            _ => Err(self.fault(&format!("the {label} block of line {line} must end first: END {label}"))),
        }
    }

    /// The base64 up to `end`, without white space; and whether the headers in front of it speak of encryption.
    fn base64(&mut self, end: usize) -> Result<(Zeroizing<Vec<u8>>, bool), String> {
        let mut encrypted = false;
        let mut base64 = Zeroizing::new(Vec::with_capacity(end - self.at));
        while self.at < end {
            let line = first_line(&self.text[self.at..end]);
            let length = line.len();
            if base64.is_empty() && line.contains(&b':') {
                encrypted |= find(line, b"Proc-Type").is_some() && find(line, b"ENCRYPTED").is_some();
            } else {
                for byte in line.iter().filter(|byte| !byte.is_ascii_whitespace()) {
                    match byte {
                        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'+' | b'/' | b'=' => base64.push(*byte),
                        // Of a byte order mark: some are in the middle.
                        b'\xef' | b'\xbb' | b'\xbf' => {}
                        b'\\' => {
                            return Err(self.fault("line ends are written as \\n in it, put real ones there"));
                        }
                        _ => return Err(self.fault("the base64 of a PEM block is malformed")),
                    }
                }
            }
            self.advance((length + 1).min(end - self.at));
        }
        Ok((base64, encrypted))
    }

    fn advance(&mut self, by: usize) {
        let to = (self.at + by).min(self.text.len());
        self.line += line_ends(self.text, self.at..to);
        self.at = to;
    }

    fn fault(&self, what: &str) -> String {
        format!("line {}: {what}", self.line)
    }
}

const MANGLED: &str = "a BEGIN or END line is mangled: -----BEGIN CERTIFICATE----- has five dashes on either side, and an \
                       END to each BEGIN";

/// What was meant as BEGIN or END of a certificate or key but is none, as word processors, hasty copying and cutting
/// off leave it. An END that is whole has lost its BEGIN.
fn is_mangled(line: &[u8], is_last: bool) -> bool {
    let line = String::from_utf8_lossy(line).to_uppercase();
    let is_dash = |c| matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    let words = line.trim_start_matches(|c: char| is_dash(c) || c.is_whitespace() || c == '\u{feff}');
    let has_dashes = line[..line.len() - words.len()].contains(is_dash);
    let words = words.trim_end();
    let of_interest = ["CERTIFICATE", "PRIVATE KEY", "PKCS"].iter().any(|word| words.contains(word));
    let is_cut_off = is_last && ["BEGIN ", "END "].iter().any(|word| word.starts_with(words));
    has_dashes && (is_cut_off || of_interest && (words.starts_with("BEGIN") || words.starts_with("END")))
}

/// Text that PowerShell's `>` or an editor has put into UTF-16.
fn from_utf16(text: &[u8]) -> Result<Option<Zeroizing<String>>, String> {
    let Some(wide) = find(text, WIDE_DASHES) else { return Ok(None) };
    if let Some(narrow) = find(text, DASHES) {
        let line = 1 + line_ends(text, 0..wide.max(narrow));
        return Err(format!(
            "line {line}: the text is UTF-16 in one part and not in another, save it as UTF-8"
        ));
    }
    // In big endian each dash follows its zero byte.
    let unit = if wide % 2 == 0 { u16::from_le_bytes } else { u16::from_be_bytes };
    let units = text.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    // Never grows, so that no copy of a key stays behind.
    let mut narrow = Zeroizing::new(String::with_capacity(text.len() * 2));
    narrow.extend(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
    Ok(Some(narrow))
}

fn decode(base64: &mut Zeroizing<Vec<u8>>) -> Option<()> {
    let mut contents = Zeroizing::new(vec![0; base64.len() / 4 * 3 + 3]);
    let length = BASE64.decode_slice(&**base64, &mut contents).ok()?;
    contents.truncate(length);
    *base64 = contents;
    Some(())
}

fn label_text(label: &[u8]) -> Option<String> {
    let label = str::from_utf8(label).ok()?.trim();
    let printable = !label.is_empty() && label.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    (printable && label.len() <= LONGEST_LABEL).then(|| label.to_owned())
}

/// The first DER value, and what follows it.
fn first_value(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(der).ok()?;
    let header = der::Header::decode(&mut reader).ok()?;
    let end = (reader.position() + header.length()).ok().filter(|end| *end > Length::ZERO)?;
    der.split_at_checked(usize::try_from(end).ok()?)
}

/// Without its end, which is LF, CR LF or, from old Macs, CR.
fn first_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| is_line_end(*byte));
    &text[..end.unwrap_or(text.len())]
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

fn line_ends(text: &[u8], range: std::ops::Range<usize>) -> usize {
    let ends = |at: &usize| match text[*at] {
        b'\n' => true,
        b'\r' => text.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    range.filter(ends).count()
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn pem(label: &str, contents: &[u8]) -> String {
        let base64 = STANDARD.encode(contents);
        let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }

    fn found(text: &[u8]) -> Vec<(usize, String, Vec<u8>)> {
        let blocks = blocks(text).unwrap().into_iter();
        blocks.map(|block| (block.line, block.label.clone(), block.contents.to_vec())).collect()
    }

    /// Is each block found with the line where it begins, whatever ends the lines?
    #[test]
    fn lines_are_counted() {
        let text = format!("text\n\n{}# -----BEGIN X-----\n{}", pem("A", &[7; 100]), pem("B C", b"d"));
        let wanted = [(3, "A".to_owned(), vec![7; 100]), (9, "B C".to_owned(), b"d".to_vec())];
        for end in ["\n", "\r\n", "\r"] {
            assert_eq!(found(text.replace('\n', end).as_bytes()), wanted, "{end:?}");
        }
    }

    /// Is a text that ends anywhere in a block an error, and never fewer blocks than were begun?
    #[test]
    fn text_that_was_cut_off_is_an_error() {
        let text = [pem("CERTIFICATE", &[1; 70]), pem("PRIVATE KEY", &[2; 70])].concat();
        for end in 0..=text.len() {
            let cut = &text[..end];
            match blocks(cut.as_bytes()) {
                Ok(blocks) => {
                    assert!(cut.is_empty() || cut.trim_end().ends_with("-----"), "{cut:?}");
                    assert_eq!(blocks.len(), cut.matches("-----BEGIN ").count(), "{cut:?}");
                }
                Err(fault) => assert!(fault.starts_with("line "), "{fault}"),
            }
        }
    }

    /// Is what only looks like a block an error, on the line where it is?
    #[test]
    fn mangled_lines_are_named() {
        let good = pem("CERTIFICATE", &[1; 20]);
        for (from, to, line) in [
            ("-----BEGIN", "----BEGIN", 2),
            ("-----BEGIN", "\u{2014}\u{2013}BEGIN", 2),
            ("BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE----", 2),
            ("-----BEGIN CERTIFICATE-----", "", 4),
            ("BEGIN", "begin", 2),
            ("BEGIN CERTIFICATE", "BEGIN CERT\u{7}", 2),
            ("END CERTIFICATE", "END PRIVATE KEY", 4),
            ("-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----", 4),
            ("-----END CERTIFICATE-----", "", 2),
            ("-----\nAQ", "-----\n?AQ", 3),
            ("-----\nAQ", "-----\\nAQ", 2),
            ("E=\n", "E\n", 2),
        ] {
            let text = format!("text\n{}", good.replacen(from, to, 1));
            assert_ne!(text, format!("text\n{good}"), "{from}");
            let fault = blocks(text.as_bytes()).err().unwrap_or_else(|| panic!("{text}"));
            assert!(fault.starts_with(&format!("line {line}: ")) && !fault.contains('\n'), "{from}: {fault}");
        }
    }

    /// Does a text without line ends take no longer than one with them, however many blocks are in it?
    #[test]
    fn one_line_of_many_blocks_is_read() {
        let text = "-----BEGIN A-----YQ==-----END A-----".repeat(30_000);
        assert_eq!(blocks(text.as_bytes()).unwrap().len(), 30_000);
    }

    /// Are lines for people, with dashes or not, left to them?
    #[test]
    fn other_text_does_not_matter() {
        let text =
            format!("-----\n- end of the list\n-- BEGIN --\nBag Attributes\n{}=====\n", pem("A", b"a"));
        assert_eq!(found(text.as_bytes()), [(5, "A".to_owned(), b"a".to_vec())]);
        let text = format!("\u{fc}ber alles - \nBEGIN CERTIFICATE -----  \n{}\u{fc} ", pem("A", b"a"));
        assert_eq!(found(text.as_bytes()), [(3, "A".to_owned(), b"a".to_vec())]);
        assert_eq!(found(b"nothing at all"), []);
    }

    proptest! {
        /// Does any text end in blocks or an error?
        #[test]
        fn any_text_is_survived(text in "(-----|-|BEGIN |END |A|B|=|#|:| |\u{fc}|\n|\r|\0|\u{feff}){0,60}") {
            let _ = blocks(text.as_bytes());
            let wide: Vec<_> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let _ = blocks(&wide);
        }
    }
}
