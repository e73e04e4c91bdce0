//! The cryptography of our TLS: AWS-LC's, so that no process forks in the middle of it (`src/runtime/gate.rs`).

use std::sync::Arc;

use once_cell::sync::Lazy;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{
    ActiveKeyExchange, CompletedKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SupportedKxGroup,
};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, ProtocolVersion};

use crate::runtime::undisturbed;

/// Named here, because the default of the process belongs to the host application.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static GROUPS: Lazy<Vec<Group>> =
        Lazy::new(|| default_provider().kx_groups.into_iter().map(Group).collect());
    static RANDOM: Lazy<Random> = Lazy::new(|| Random(default_provider().secure_random));
    let kx_groups = GROUPS.iter().map(|group| group as &'static dyn SupportedKxGroup).collect();
    Arc::new(CryptoProvider { kx_groups, secure_random: &*RANDOM, ..default_provider() })
}

#[derive(Debug)]
struct Random(&'static dyn SecureRandom);

impl SecureRandom for Random {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        undisturbed(|| self.0.fill(buffer))
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

#[derive(Debug)]
struct Group(&'static dyn SupportedKxGroup);

impl SupportedKxGroup for Group {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        undisturbed(|| self.0.start())
    }

    fn start_and_complete(&self, peer: &[u8]) -> Result<CompletedKeyExchange, Error> {
        undisturbed(|| self.0.start_and_complete(peer))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        self.0.ffdhe_group()
    }

    fn name(&self) -> NamedGroup {
        self.0.name()
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        self.0.usable_for_version(version)
    }
}
