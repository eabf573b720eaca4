//! The location databases in force, which may be replaced while the gateway runs.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domicile_compliance::{Locator, LocatorError, Networks};
use domicile_types::{Located, LocationSource, Place, UnixMillis};
use ipnet::IpNet;
use parking_lot::RwLock;

use crate::config::Config;

/// The longest file of places of networks, in bytes.
const PLACES_BYTES_MAX: u64 = 4 << 20;

/// Databases and places of networks, read together and in force together.
#[derive(Debug)]
pub struct Databases {
    /// Says where an address is.
    pub locator: Locator,
    /// Says in which network.
    pub networks: Networks,
}

/// Why databases are not put in force.
#[derive(Debug, thiserror::Error)]
pub enum DatabasesError {
    /// One of them cannot be used.
    #[error("a location database cannot be used")]
    Database(#[from] LocatorError),
    /// The file of places cannot be read.
    #[error("the places of networks in {path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file of places has a line that is not one.
    #[error("line {line} of {path} is not a network and its place, such as `192.0.2.0/24 DE`")]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
}

impl Databases {
    /// Reads everything that the configuration names. Blocks on the disk.
    pub fn open(config: &Config, now: UnixMillis) -> Result<Self, DatabasesError> {
        let mut places = config.place_overrides.clone();
        if let Some(file) = &config.place_overrides_file {
            places.extend(read_places(file)?);
        }
        Ok(Self {
            locator: Locator::open(&config.location_databases, places, now)?,
            networks: Networks::open(&config.network_databases, now)?,
        })
    }

    /// The databases, as the log names them.
    #[must_use]
    pub fn sources(&self) -> Vec<LocationSource> {
        self.locator.sources().chain(self.networks.sources()).collect()
    }
}

impl From<Locator> for Databases {
    fn from(locator: Locator) -> Self {
        Self { locator, networks: Networks::default() }
    }
}

/// Reads lines of a network and its place. What follows a `#` is a remark.
fn read_places(path: &Path) -> Result<Vec<(IpNet, Place)>, DatabasesError> {
    let unreadable = |source| DatabasesError::Unreadable { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(unreadable)?.len() > PLACES_BYTES_MAX {
        return Err(unreadable(std::io::Error::other("it is longer than 4 MiB")));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let mut places = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let mut words = text.split('#').next().unwrap_or_default().split_whitespace();
        let wrong = || DatabasesError::Line { path: path.to_owned(), line };
        match (words.next(), words.next(), words.next()) {
            (None, ..) => {}
            (Some(network), Some(place), None) => {
                places.push((network.parse().map_err(|_| wrong())?, Place::parse(place).map_err(|_| wrong())?));
            }
            _ => return Err(wrong()),
        }
    }
    Ok(places)
}

/// Says where an address is, by the databases that are in force.
#[derive(Debug)]
pub struct Locating(RwLock<Arc<Databases>>);

impl Locating {
    /// Begins with `databases`; a locator alone knows no networks.
    #[must_use]
    pub fn new(databases: impl Into<Databases>) -> Self {
        Self(RwLock::new(Arc::new(databases.into())))
    }

    /// The candidate places of `address`; see [`Locator::locate`].
    #[must_use]
    pub fn locate(&self, address: IpAddr, now: UnixMillis) -> Located {
        self.current().locator.locate(address, now)
    }

    /// The autonomous system that `address` lies in, where a database of networks knows it.
    #[must_use]
    pub fn network(&self, address: IpAddr) -> Option<u32> {
        self.current().networks.number(address)
    }

    /// The databases in force.
    #[must_use]
    pub fn current(&self) -> Arc<Databases> {
        Arc::clone(&self.0.read())
    }

    /// Puts others in force.
    pub fn replace(&self, databases: Databases) {
        *self.0.write() = Arc::new(databases);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_anything_else_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("places");
        std::fs::write(&path, "# rooms\n127.10.0.0/16 CN\n\n2001:db8::/32 DE # lab\n").unwrap();
        let places = read_places(&path).unwrap();
        assert_eq!(places.len(), 2);
        assert_eq!(places[1].1, Place::parse("DE").unwrap());
        for garbage in ["127.10.0.0/16", "127.10.0.0/16 CN DE", "here CN", "127.10.0.0/16 Wonderland"] {
            std::fs::write(&path, format!("\n{garbage}\n")).unwrap();
            assert!(matches!(read_places(&path), Err(DatabasesError::Line { line: 2, .. })), "{garbage}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read_places(&path), Err(DatabasesError::Unreadable { .. })));
    }
}
