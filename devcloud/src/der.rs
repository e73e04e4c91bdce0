//! Just enough DER to look at a CSR byte by byte.

/// One element: its tag, its content, and both with the length between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) raw: &'a [u8],
}

/// Elements that follow one another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The next element, which must have this tag. `what` names it in the error.
    pub(crate) fn expect(&mut self, tag: u8, what: &str) -> Result<Element<'a>, String> {
        let element = self.next(what)?;
        if element.tag == tag {
            Ok(element)
        } else {
            Err(format!("{what} must have DER tag 0x{tag:02x}, it has 0x{:02x}", element.tag))
        }
    }

    /// The next element, whatever it is.
    pub(crate) fn next(&mut self, what: &str) -> Result<Element<'a>, String> {
        let short = || format!("{what} is missing or cut short");
        let (&tag, rest) = self.0.split_first().ok_or_else(short)?;
        let (&first, rest) = rest.split_first().ok_or_else(short)?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f)).ok_or_else(short)?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return Err(format!("{what} has a length that DER does not allow here")),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or_else(short)?;
        let raw = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        Ok(Element { tag, content, raw })
    }
}
