//! How hard it is to steal the key of a binding certificate (managed_identity spec, section 4.8).

/// How well the private key of a binding certificate is kept, weakest first. The numbers are those of MSAL
/// where it has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MtlsBindingStrength {
    /// There is no key: the host gives no bound tokens.
    #[default]
    None = 0,
    /// In the memory of the process.
    Software = 1,
    /// In hardware, which it cannot leave.
    Hardware = 2,
    /// In hardware that vouches for it.
    Attested = 3,
}

impl MtlsBindingStrength {
    /// That of a key of this strength whose attestation was accepted. Only hardware can vouch for a key.
    pub(crate) fn attested(self) -> Self {
        match self {
            Self::Hardware => Self::Attested,
            other => other,
        }
    }

    /// As it is called in texts for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Software => "Software",
            Self::Hardware => "Hardware",
            Self::Attested => "Attested",
        }
    }
}
