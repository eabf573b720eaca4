//! The locator in use, which may be replaced while the gateway runs.

use std::net::IpAddr;
use std::sync::Arc;

use domicile_compliance::Locator;
use domicile_types::{Located, UnixMillis};
use parking_lot::RwLock;

/// Says where an address is, by the databases that are in force.
#[derive(Debug)]
pub struct Locating(RwLock<Arc<Locator>>);

impl Locating {
    /// Begins with `locator`.
    #[must_use]
    pub fn new(locator: Locator) -> Self {
        Self(RwLock::new(Arc::new(locator)))
    }

    /// The candidate places of `address`; see [`Locator::locate`].
    #[must_use]
    pub fn locate(&self, address: IpAddr, now: UnixMillis) -> Located {
        self.current().locate(address, now)
    }

    /// The databases in force.
    #[must_use]
    pub fn current(&self) -> Arc<Locator> {
        Arc::clone(&self.0.read())
    }

    /// Puts others in force.
    pub fn replace(&self, locator: Locator) {
        *self.0.write() = Arc::new(locator);
    }
}
