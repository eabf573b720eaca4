//! One MMDB file. Format: MaxMind DB File Format Specification 2.0.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use domicile_types::{Country, LocationSource, Place, UnixMillis};
use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::Deserialize;

use crate::geo::{LocatorError, file_name};

/// Codes that databases use for what is no country: reserved, unassigned, "Europe", "Asia/Pacific".
const NO_COUNTRY: [&str; 4] = ["ZZ", "XX", "EU", "AP"];

pub(super) struct Database {
    name: String,
    hash: String,
    reader: Reader<Vec<u8>>,
}

/// What a database says of an address.
pub(super) enum Answer {
    At { place: Place, proxy: bool },
    Nothing,
    Unreadable(String),
}

/// The fields that matter, of the two families in use: `country_code` at the top, or MaxMind's nested records.
#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    country_code: Option<&'a str>,
    #[serde(borrow)]
    country: Option<CountryRow<'a>>,
    traits: Option<Traits>,
}

#[derive(Deserialize)]
struct CountryRow<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Deserialize)]
struct Traits {
    #[serde(default)]
    is_anonymous_proxy: bool,
    #[serde(default)]
    is_satellite_provider: bool,
    #[serde(default)]
    is_anycast: bool,
}

impl Database {
    pub(super) fn open(path: &Path) -> Result<Self, LocatorError> {
        let bytes = fs::read(path).map_err(|source| LocatorError::Unreadable { path: path.to_owned(), source })?;
        let damaged = |source| LocatorError::Damaged { path: path.to_owned(), source };
        let hash = blake3::hash(&bytes).to_hex().to_string();
        let reader = Reader::from_source(bytes).map_err(damaged)?;
        check::<Row<'_>>(&reader).map_err(damaged)?;
        Ok(Self { name: file_name(path), hash, reader })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn built(&self) -> UnixMillis {
        UnixMillis(self.reader.metadata().build_epoch.saturating_mul(1000))
    }

    pub(super) fn source(&self) -> LocationSource {
        LocationSource::Database {
            name: self.name.clone(),
            build_epoch: self.reader.metadata().build_epoch,
            hash: self.hash.clone(),
        }
    }

    pub(super) fn ask(&self, address: IpAddr) -> Answer {
        // An IPv4-only database knows nothing of IPv6; the reader calls that an error.
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Answer::Nothing;
        }
        match self.row(address) {
            Ok(None) => Answer::Nothing,
            Ok(Some(row)) => row.answer(),
            Err(error) => Answer::Unreadable(error.to_string()),
        }
    }

    fn row(&self, address: IpAddr) -> Result<Option<Row<'_>>, MaxMindDbError> {
        self.reader.lookup(address)?.decode()
    }
}

/// Walks the tree once and reads every distinct row. A broken download can keep the metadata, which stands at the end, and
/// lack parts of the tree before it. (The reader's own `verify` also demands a description, which sound databases lack.)
pub(super) fn check<'a, R: Deserialize<'a>>(reader: &'a Reader<Vec<u8>>) -> Result<(), MaxMindDbError> {
    // Every way through the tree is counted, also those to nothing: a tree of n nodes has n + 1, and five prefixes of IPv6 or
    // so lead to the same IPv4 part. More is a cycle, or a web that nobody lives to see the end of.
    let leaves_max = u64::from(reader.metadata().node_count).saturating_add(1).saturating_mul(8);
    let every_way = WithinOptions::default().include_networks_without_data().include_aliased_networks();
    let mut rows = HashSet::new();
    for (leaf, found) in (1..).zip(reader.networks(every_way)?) {
        let found = found?;
        if leaf > leaves_max {
            return Err(MaxMindDbError::invalid_database("the search tree has a cycle"));
        }
        if let Some(offset) = found.offset()
            && rows.insert(offset)
        {
            found.decode::<R>()?;
        }
    }
    if rows.is_empty() { Err(MaxMindDbError::invalid_database("the search tree has no rows")) } else { Ok(()) }
}

impl Row<'_> {
    fn answer(self) -> Answer {
        let code = self.country_code.or_else(|| self.country.and_then(|country| country.iso_code));
        let place = code
            .filter(|code| !NO_COUNTRY.contains(code))
            .and_then(|code| Country::parse(code).ok())
            .map(Place::Country);
        let proxy = self
            .traits
            .is_some_and(|traits| traits.is_anonymous_proxy || traits.is_satellite_provider || traits.is_anycast);
        place.map_or(Answer::Nothing, |place| Answer::At { place, proxy })
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({}, {})", self.name, self.hash)
    }
}
