//! Which network an address is announced by: its autonomous system, from databases of their own (MMDB, as GeoLite2-ASN and
//! its kin). A node whose network changes has moved, or its carrier has: what was measured before says nothing any more.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use domicile_types::{LocationSource, UnixMillis};
use maxminddb::Reader;
use serde::Deserialize;

use crate::geo::{DAY_MILLIS, LocatorError, file_name};

/// Databases of networks. None is fine: then no network is known.
#[derive(Default)]
pub struct Networks(Vec<Database>);

struct Database {
    name: String,
    hash: String,
    reader: Reader<Vec<u8>>,
}

#[derive(Deserialize)]
struct Row {
    autonomous_system_number: Option<u32>,
}

impl Networks {
    /// Reads and checks every file.
    pub fn open(files: &[PathBuf], now: UnixMillis) -> Result<Self, LocatorError> {
        files.iter().map(|path| Database::open(path, now)).collect::<Result<_, _>>().map(Self)
    }

    /// The autonomous system of `address`, by the first database that knows it.
    #[must_use]
    pub fn number(&self, address: IpAddr) -> Option<u32> {
        let address = address.to_canonical();
        self.0.iter().find_map(|database| database.ask(address))
    }

    /// The databases, as the log names them.
    pub fn sources(&self) -> impl Iterator<Item = LocationSource> + '_ {
        self.0.iter().map(|database| LocationSource::Database {
            name: database.name.clone(),
            build_epoch: database.reader.metadata().build_epoch,
            hash: database.hash.clone(),
        })
    }
}

impl Database {
    fn open(path: &Path, now: UnixMillis) -> Result<Self, LocatorError> {
        let bytes = std::fs::read(path).map_err(|source| LocatorError::Unreadable { path: path.to_owned(), source })?;
        let damaged = |source| LocatorError::Damaged { path: path.to_owned(), source };
        let hash = blake3::hash(&bytes).to_hex().to_string();
        let reader = Reader::from_source(bytes).map_err(damaged)?;
        super::database::check::<Row>(&reader).map_err(damaged)?;
        let built = UnixMillis(reader.metadata().build_epoch.saturating_mul(1000));
        if built > now.plus_millis(DAY_MILLIS) {
            return Err(LocatorError::FromTheFuture { path: path.to_owned(), built, now });
        }
        Ok(Self { name: file_name(path), hash, reader })
    }

    fn ask(&self, address: IpAddr) -> Option<u32> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return None;
        }
        self.reader.lookup(address).ok()?.decode::<Row>().ok()??.autonomous_system_number
    }
}

impl std::fmt::Debug for Networks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|database| &database.name)).finish()
    }
}
