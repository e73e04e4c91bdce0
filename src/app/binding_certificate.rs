//! The life of a managed identity's certificate: found in memory or in a store, minted, renewed, replaced.
//!
//! The rules are rows of the design's table: one certificate for an identity whatever its name, renewed at
//! half of its life, never used to its very end, replaced where the token service rejects it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use crate::attestation::Attestor;
use crate::binding::{Binding, BindingCache, Lifetime, lifetime};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, TransportFailure};
use crate::http::{Client, Imds};
use crate::key::{KEY_LOST, KeyHome};
use crate::managed_identity::imds_v2::{Metadata, Order};
use crate::managed_identity::{ManagedIdentityId, imds_v2};
use crate::runtime::{Call, Claimed};

/// What is needed to look after the certificate of one identity.
pub(super) struct BindingCertificates<'a> {
    pub(super) core: &'a Core,
    pub(super) bindings: Arc<BindingCache>,
    pub(super) imds: &'a Imds,
    pub(super) id: &'a ManagedIdentityId,
    /// Where its keys are.
    pub(super) home: &'a KeyHome,
    /// Attests new keys, where the app wants that.
    pub(super) attestor: Option<Attestor<'a>>,
    /// The same in names: attested certificates are others (section 5.9).
    pub(super) attested: Cow<'static, str>,
}

/// Why another certificate than the one in use is wanted.
enum Wanted<'a> {
    Any,
    /// This one is good, but has had its time.
    After(&'a Binding),
    /// This one was rejected.
    InPlaceOf(&'a Binding),
}

/// What a renewal may take while a caller waits and there still is a certificate to use.
const RENEWAL_TIME: Duration = Duration::from_secs(30);
/// What it may take where nobody waits: IMDS that is being updated is back within 70 s.
const BACKGROUND_RENEWAL_TIME: Duration = Duration::from_secs(120);
/// The host said what the name means when the certificate was minted.
const JUST_NAMED: Duration = Duration::from_secs(60);
/// What finding out what a name means may take, in a call that has an error already.
const NAMING_TIME: Duration = Duration::from_secs(10);
/// A certificate is not suspected in its first minutes: a service that resets every connection would
/// otherwise cost a new key and certificate for each call.
const ABOVE_SUSPICION: Duration = Duration::from_secs(5 * 60);
/// The AADSTS numbers by which the token service asks for another certificate.
const ANOTHER_CERTIFICATE: std::ops::RangeInclusive<u32> = 1_000_610..=1_000_614;
/// Those by which a resource, or a tenant, takes no bound tokens, whatever the certificate.
const NO_CERTIFICATE: [u32; 2] = [392_196, 3_921_996];

impl BindingCertificates<'_> {
    /// The certificate to ask for tokens with now: the one in use, that of the store, or a new one.
    pub(super) fn current(&self, call: &Call) -> Result<Arc<Binding>> {
        let known = self.bindings.of_name(&self.name()).filter(|known| !self.is(known, Lifetime::Over));
        let binding = match known {
            Some(binding) => binding,
            None => self.obtain(&Wanted::Any, call)?,
        };
        self.keep_in_store(&binding, call);
        match lifetime(&binding, self.core.clock.now()) {
            Lifetime::Fresh => Ok(binding),
            // The app renews it when this call has its token.
            Lifetime::RenewalDue if self.core.has_background => Ok(binding),
            _ => Ok(self.renewed(&binding, RENEWAL_TIME, call)?.unwrap_or(binding)),
        }
    }

    /// Another certificate in the place of one that was rejected.
    pub(super) fn replace(&self, rejected: &Binding, call: &Call) -> Result<Arc<Binding>> {
        self.obtain(&Wanted::InPlaceOf(rejected), call)
    }

    /// The one after that in use, or the first one: issued now, however good that still is.
    pub(super) fn next(&self, call: &Call) -> Result<Arc<Binding>> {
        let known = match self.bindings.of_name(&self.name()) {
            Some(known) => Some(known),
            None => self.stored(&Wanted::Any, call)?,
        };
        match known {
            Some(known) => self.obtain(&Wanted::After(&known), call),
            None => self.obtain(&Wanted::Any, call),
        }
    }

    /// Claims the replacement of one that was rejected.
    pub(super) fn claim_replacement(&self) -> Claimed {
        self.bindings.claim_replacement(&self.name(), &self.core.clock)
    }

    /// Asks the host, once in a while, whether the name means another identity than that of `binding`: one
    /// that was made anew has another client id under the same name. Where the host does not answer, the
    /// name means what it meant.
    pub(super) fn means_another(&self, binding: &Binding, call: &Call) -> bool {
        let (name, bindings) = (self.name(), &*self.bindings);
        if binding.age(&*self.core.clock) < JUST_NAMED {
            return false;
        }
        let Some(_claim) = bindings.claim_naming(&name, &self.core.clock) else { return false };
        let asked = self.core.pool.direct().and_then(|client| {
            imds_v2::platform_metadata(self.imds, &client, self.id, &call.limited(NAMING_TIME))
        });
        let Ok(metadata) = asked else { return false };
        let identity = self.identity(&metadata.client_id);
        if metadata.client_id == binding.client_id || bindings.identity(&name).as_ref() == Some(&identity) {
            return false;
        }
        self.core.log.warn("managed_identity", || {
            "the identity was made anew: its name means another client id".to_owned()
        });
        bindings.name(&name, &identity);
        if let Some(store) = self.core.binding_store.as_deref() {
            store.name(&name, &identity, &call.log);
        }
        true
    }

    /// Whether there is a certificate that should be renewed while nobody waits for it.
    pub(super) fn is_renewal_due(&self) -> bool {
        let known = self.bindings.of_name(&self.name());
        known.is_some_and(|known| self.is(&known, Lifetime::RenewalDue))
    }

    /// Renews it.
    pub(super) fn renew(&self, call: &Call) -> Result<()> {
        let known = self.bindings.of_name(&self.name());
        match known.filter(|known| self.is(known, Lifetime::RenewalDue)) {
            Some(binding) => self.renewed(&binding, BACKGROUND_RENEWAL_TIME, call).map(drop),
            None => Ok(()),
        }
    }

    /// The one after `binding`; `None` where it cannot be had now, and `binding` goes on being used.
    fn renewed(&self, binding: &Binding, limit: Duration, call: &Call) -> Result<Option<Arc<Binding>>> {
        // Another caller is trying, or has just failed.
        let Some(claim) = self.bindings.claim_renewal(&self.name(), &self.core.clock) else {
            return Ok(None);
        };
        // A host that does not answer must leave time for the certificate in use.
        let limited = call.limited(call.remaining().map_or(limit, |left| limit.min(left / 2)));
        match self.obtain(&Wanted::After(binding), &limited) {
            Ok(renewed) => {
                claim.done();
                Ok(Some(renewed))
            }
            Err(error) => {
                if let Some(end) = call.end(&error) {
                    // Others may have more time.
                    claim.done();
                    return Err(end);
                }
                self.core.log.warn("managed_identity", || {
                    format!(
                        "the certificate could not be renewed and stays in use: {} ({error})",
                        error.code()
                    )
                });
                Ok(None)
            }
        }
    }

    /// A certificate as `wanted`, from whoever has it first: another thread, another process, IMDS.
    fn obtain(&self, wanted: &Wanted<'_>, call: &Call) -> Result<Arc<Binding>> {
        let (name, bindings) = (self.name(), &*self.bindings);
        let acceptable = |binding: &Arc<Binding>| self.accepts(binding, wanted);
        let present = || bindings.of_name(&name).filter(acceptable);
        let obtained = bindings.name_once(&name, call, present, || {
            if let Some(binding) = self.stored(wanted, call)? {
                return Ok(binding);
            }
            let client = self.core.pool.direct()?;
            let metadata = imds_v2::platform_metadata(self.imds, &client, self.id, call)?;
            let identity = self.identity(&metadata.client_id);
            bindings.name(&name, &identity);
            let present = || bindings.of_identity(&identity).filter(acceptable);
            bindings.mint_once(&identity, call, present, || {
                self.mint(&identity, &metadata, &client, wanted, call)
            })
        });
        obtained.inspect(|binding| self.keep_in_store(binding, call))
    }

    /// Has IMDS issue one, unless another process was first.
    fn mint(
        &self,
        identity: &str,
        metadata: &Metadata,
        client: &Client,
        wanted: &Wanted<'_>,
        call: &Call,
    ) -> Result<Arc<Binding>> {
        let (store, bindings) = (self.core.binding_store.as_deref(), &*self.bindings);
        let lock = store.map(|store| store.lock(identity, call)).transpose()?.flatten();
        if let Some(binding) = self.stored_for(identity, wanted, call)? {
            return Ok(binding);
        }
        let key = bindings.next_key(identity, || self.home.new_key(&call.wait()))?;
        let mint = |again| {
            let order = Order { metadata, key: key.clone(), attestor: self.attestor.as_ref(), again };
            imds_v2::mint(self.imds, client, self.id, &order, call).inspect_err(|error| {
                if error.code() == KEY_LOST {
                    bindings.forget_waiting_key(identity);
                }
            })
        };
        let mut minted = mint(matches!(wanted, Wanted::InPlaceOf(_)))?;
        // A key at a persistent handle may have one without attestation already, and IMDS a cache.
        let too_weak =
            |minted: &Binding| self.attestor.is_some() && bindings.has_unattested(&minted.certificate);
        if too_weak(&minted) {
            minted = mint(true)?;
        }
        if too_weak(&minted) {
            return Err(unattested());
        }
        if self.is(&minted, Lifetime::Over) {
            return Err(over());
        }
        let minted = Arc::new(minted);
        bindings.put(identity, minted.clone());
        // Without the lock it is another process's to write.
        if let (Some(store), Some(_)) = (store, &lock) {
            store.save(identity, &minted, call);
            bindings.note_stored(identity, store.directory());
        }
        Ok(minted)
    }

    fn accepts(&self, binding: &Binding, wanted: &Wanted<'_>) -> bool {
        match wanted {
            Wanted::Any => !self.is(binding, Lifetime::Over),
            Wanted::After(old) => {
                self.is(binding, Lifetime::Fresh)
                    && binding.certificate.not_after() > old.certificate.not_after()
            }
            // One that is older was in use before, and is not better.
            Wanted::InPlaceOf(rejected) => {
                !binding.is(rejected)
                    && binding.minted >= rejected.minted
                    && !self.is(binding, Lifetime::Over)
            }
        }
    }

    /// What the store has for this name.
    fn stored(&self, wanted: &Wanted<'_>, call: &Call) -> Result<Option<Arc<Binding>>> {
        let Some(store) = self.core.binding_store.as_deref() else { return Ok(None) };
        let name = self.name();
        let known = self.bindings.identity(&name);
        let Some(identity) = known.or_else(|| store.identity(&name, &call.log)) else { return Ok(None) };
        // Memory may know the identity by another name, and have a newer one.
        let in_memory = self.bindings.of_identity(&identity).filter(|binding| self.accepts(binding, wanted));
        let binding = match in_memory {
            Some(binding) => Some(binding),
            None => self.stored_for(&identity, wanted, call)?,
        };
        if binding.is_some() {
            self.bindings.name(&name, &identity);
        }
        Ok(binding)
    }

    /// What it has for `identity`, and is acceptable: anything else must not displace what is in memory.
    fn stored_for(&self, identity: &str, wanted: &Wanted<'_>, call: &Call) -> Result<Option<Arc<Binding>>> {
        let Some(store) = self.core.binding_store.as_deref() else { return Ok(None) };
        let Some(stored) = store.load(identity, self.home, call)? else { return Ok(None) };
        // The identity that it was stored for says whether it is attested.
        let certificate = stored.certificate.with_attestation(self.attestor.is_some());
        let stored = Arc::new(Binding { certificate, ..stored });
        if !self.accepts(&stored, wanted) {
            return Ok(None);
        }
        // The value that is in use already has connections.
        if let Some(known) = self.bindings.of_identity(identity).filter(|known| known.is(&stored)) {
            return Ok(Some(known));
        }
        self.core.log.info("managed_identity", || "using the certificate of the binding store".to_owned());
        self.bindings.put(identity, stored.clone());
        self.bindings.note_stored(identity, store.directory());
        Ok(Some(stored))
    }

    /// One that came about without this app's store, or is asked for by a new name, goes into it, too.
    fn keep_in_store(&self, binding: &Binding, call: &Call) {
        let Some(store) = self.core.binding_store.as_deref() else { return };
        let (name, bindings) = (self.name(), &*self.bindings);
        let Some(identity) = bindings.identity(&name) else { return };
        if bindings.of_identity(&identity).is_none_or(|known| !known.is(binding)) {
            return;
        }
        if bindings.note_stored(&identity, store.directory())
            && matches!(store.load(&identity, self.home, call), Ok(None))
        {
            store.save_if_free(&identity, binding, call);
        }
        if bindings.note_name_stored(&name, &identity, store.directory()) {
            store.name(&name, &identity, &call.log);
        }
    }

    fn is(&self, binding: &Binding, wanted: Lifetime) -> bool {
        lifetime(binding, self.core.clock.now()) == wanted
    }

    /// The name that the caller gave to the identity, on this host.
    fn name(&self) -> String {
        self.identity(&self.id.cache_name())
    }

    /// The identity itself, by its canonical client id. Attested certificates are others (section 5.9), and so
    /// are those for keys of another home.
    fn identity(&self, client_id: &str) -> String {
        let name = format!("{} {client_id} attested={}", self.imds.cache_name(), self.attested);
        match self.home {
            KeyHome::Software => name,
            other => format!("{name} key={}", other.cache_name()),
        }
    }
}

/// How many other certificates may be tried, one after the other, after `error`: the service said so, TLS
/// did, or the connection broke after the certificate had been sent.
pub(super) fn worth_replacing(error: &Error, binding: &Binding, clock: &dyn Clock) -> usize {
    let numbers = error.aadsts_codes();
    match error.transport() {
        // Who asks for fewer requests is not sent more of them.
        _ if error.kind() == ErrorKind::Throttled => 0,
        // Nor would it see another one.
        _ if error.never_asked() => 0,
        _ if error.code() == KEY_LOST => 1,
        Some(TransportFailure::ClientCertificate) => 1,
        Some(TransportFailure::Reset) => usize::from(binding.age(clock) >= ABOVE_SUSPICION),
        _ if numbers.iter().any(|number| NO_CERTIFICATE.contains(number)) => 0,
        _ if numbers.iter().any(|number| ANOTHER_CERTIFICATE.contains(number)) => 2,
        _ if !error.code().eq_ignore_ascii_case("invalid_client") => 0,
        _ if numbers.is_empty() => 2,
        _ => 1,
    }
}

fn unattested() -> Error {
    Error::new(
        ErrorKind::InvalidResponse,
        "invalid_certificate",
        "IMDS answered a request with an attestation with the certificate that it had issued for this key without one",
    )
}

fn over() -> Error {
    Error::new(
        ErrorKind::InvalidResponse,
        "invalid_certificate",
        "IMDS issued a certificate that has expired by this host's clock; check the clock",
    )
}
