//! The tenants: those that are there from the start, and those that tests make for themselves.

use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::directory::Tenant;

/// The tenants of a cloud, besides those of the directory.
#[derive(Debug, Default)]
pub(crate) struct Tenants(Mutex<Vec<&'static Tenant>>);

impl Tenants {
    /// The tenant of this id or name.
    pub(crate) fn find(&self, name: &str) -> Option<&'static Tenant> {
        let made = || {
            let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            made.iter().copied().find(|tenant| tenant.is(name))
        };
        Tenant::find(name).or_else(made)
    }

    /// Makes one that has the applications. It is kept until the process ends: some hundred bytes for a test.
    pub(crate) fn make(&self) -> &'static Tenant {
        let id = Uuid::new_v4().to_string();
        let domain = format!("test-{}.onmicrosoft.com", id.split('-').next().unwrap_or_default());
        let tenant: &'static Tenant = Box::leak(Box::new(Tenant {
            id: Box::leak(id.into_boxed_str()),
            domain: Box::leak(domain.into_boxed_str()),
        }));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(tenant);
        tenant
    }
}
