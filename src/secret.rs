//! Text and bytes that are wiped when dropped and never printed.

use std::fmt;

use zeroize::Zeroizing;

/// A secret string: a token, a password, a client secret. `Debug` shows only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

/// Secret bytes: the DER of a private key. `Debug` shows only that they are there.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over `text`; the caller's own copies remain the caller's to wipe.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret itself. Name chosen so that every use can be found.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl SecretBytes {
    /// Takes over `bytes`; the caller's own copies remain the caller's to wipe.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The secret itself. Name chosen so that every use can be found.
    pub fn expose(&self) -> &[u8] {
        &self.0
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

    /// Is a secret kept out of `Debug`, also of the structures that hold it?
    #[test]
    fn debug_hides_secrets() {
        let shown = format!("{:?}", (Secret::new("hunter2"), SecretBytes::new(*b"hunter2")));
        assert!(!shown.contains("hunter2") && !shown.contains("104"), "{shown}");
    }
}
