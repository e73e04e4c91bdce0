//! Text and bytes that are wiped when dropped and never printed.

use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};

use zeroize::Zeroize;

/// A secret string: a token, a password, a client secret. `Debug` shows only that it is there.
///
/// A NUL follows the text in memory, so that it can be lent to other languages without a copy.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

/// Secret bytes: the DER of a private key. `Debug` shows only that they are there.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(WipedBytes);

/// Bytes that may hold a secret: the answer of a token endpoint.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct WipedBytes(Vec<u8>);

impl Secret {
    /// Takes over `text`; the caller's own copies remain the caller's to wipe.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.capacity() != text.len() + 1 {
            // Growing and shrinking would leave a copy behind that nobody wipes.
            let mut exact = String::with_capacity(text.len() + 1);
            exact.push_str(&text);
            wipe(&mut mem::replace(&mut text, exact).into_bytes());
        }
        text.push('\0');
        Self(text.into_boxed_str())
    }

    /// The secret itself. Name chosen so that every use can be found.
    pub fn expose(&self) -> &str {
        &self.0[..self.0.len() - 1]
    }

    /// The secret and the NUL behind it.
    pub(crate) fn expose_terminated(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl SecretBytes {
    /// Takes over `bytes`; the caller's own copies remain the caller's to wipe.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(WipedBytes(bytes.into()))
    }

    /// The secret itself. Name chosen so that every use can be found.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut mem::take(&mut self.0).into_string().into_bytes());
    }
}

impl Drop for WipedBytes {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites all of it, and what was set aside for more. What zeroize has for a `Vec` does so byte by byte.
fn wipe(bytes: &mut Vec<u8>) {
    bytes.spare_capacity_mut().zeroize();
    bytes.as_mut_slice().zeroize();
}

impl From<Vec<u8>> for WipedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for WipedBytes {
    type Target = Vec<u8>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for WipedBytes {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is the text the same, and terminated, whether or not there was room for the NUL?
    #[test]
    fn text_is_terminated() {
        let mut roomy = String::with_capacity(100);
        roomy.push_str("abc");
        for secret in [Secret::new("abc"), Secret::new(roomy), Secret::new("abc".to_owned())] {
            assert_eq!((secret.expose(), secret.expose_terminated()), ("abc", b"abc\0".as_slice()));
        }
        assert_eq!(Secret::new("").expose(), "");
    }

    /// Is a secret kept out of `Debug`, also of the structures that hold it?
    #[test]
    fn debug_hides_secrets() {
        let shown = format!("{:?}", (Secret::new("hunter2"), SecretBytes::new(*b"hunter2")));
        assert!(!shown.contains("hunter2") && !shown.contains("104"), "{shown}");
    }
}
