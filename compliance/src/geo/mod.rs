//! Where an address is: several location databases, compared, and the overrides of the configuration.
//!
//! Every answer is a set of candidates, and every candidate must be allowed. So doubt never opens a door: where databases
//! disagree, all their answers are candidates; where one has no answer, or flags a proxy, `unknown` is one.

mod client_address;
mod database;
mod network;
mod special;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use domicile_types::{Located, LocationSource, Place, UnixMillis};
use ipnet::IpNet;

pub use crate::geo::client_address::{ClientAddressError, FORWARDED_HOPS_MAX, client_address};
use crate::geo::database::{Answer, Database};
pub use crate::geo::network::Networks;
use crate::geo::special::names_no_place;

/// Builds older than this are warned of: registries move thousands of networks in two months.
pub const DATABASE_AGE_DAYS_MAX: u64 = 60;
const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Finds places of addresses. Holds the databases in memory; cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Locator {
    /// Longest prefix first.
    overrides: Vec<(IpNet, Place)>,
    databases: Vec<Database>,
}

/// Location databases or overrides that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocatorError {
    /// The file is not there or not readable.
    #[error("cannot read the location database {}: put the file there, or take it off the list", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a whole MMDB.
    #[error("{} is not a whole location database (MMDB): it may be truncated; fetch it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: maxminddb::MaxMindDbError,
    },
    /// The file claims to be built later than now.
    #[error("{} says it was built at {built}, later than now ({now}): set the clock, or fetch the file again", path.display())]
    FromTheFuture {
        /// The file.
        path: PathBuf,
        /// Its build time.
        built: UnixMillis,
        /// The time it was opened.
        now: UnixMillis,
    },
    /// One network, two places.
    #[error("the overrides place {network} both in {one} and in {other}: keep one")]
    Contradiction {
        /// The network.
        network: IpNet,
        /// The first place.
        one: Place,
        /// The second.
        other: Place,
    },
}

impl Locator {
    /// Reads and checks every file (each is walked once, so a truncated one is found now and not at some request), and
    /// orders the overrides so that the longest prefix wins.
    pub fn open(files: &[PathBuf], overrides: Vec<(IpNet, Place)>, now: UnixMillis) -> Result<Self, LocatorError> {
        let mut ordered: Vec<(IpNet, Place)> = Vec::with_capacity(overrides.len());
        for (network, place) in overrides {
            let network = network.trunc();
            if let Some((_, other)) = ordered.iter().find(|(known, other)| *known == network && *other != place) {
                return Err(LocatorError::Contradiction { network, one: *other, other: place });
            }
            ordered.push((network, place));
        }
        ordered.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        let open = |path: &PathBuf| {
            let database = Database::open(path)?;
            let built = database.built();
            if built > now.plus_millis(DAY_MILLIS) {
                return Err(LocatorError::FromTheFuture { path: path.clone(), built, now });
            }
            Ok(database)
        };
        Ok(Self { overrides: ordered, databases: files.iter().map(open).collect::<Result<_, _>>()? })
    }

    /// The candidate places of `address` at `now`. Warnings never contain the address. A stale database is warned of in every
    /// answer, even one that an override gave: it says how the gateway is kept.
    #[must_use]
    pub fn locate(&self, address: IpAddr, now: UnixMillis) -> Located {
        // An IPv4 client of an IPv6 socket arrives as ::ffff:a.b.c.d.
        let address = address.to_canonical();
        let mut located = match self.overrides.iter().find(|(network, _)| network.contains(&address)) {
            Some((network, place)) => {
                let source = LocationSource::Override { network: network.to_string() };
                Located { candidates: vec![*place], sources: vec![source], warnings: Vec::new() }
            }
            None => match names_no_place(address) {
                Some(kind) => {
                    let warning = format!("the address is of a kind that no database can place ({kind})");
                    Located { candidates: vec![Place::Unknown], sources: Vec::new(), warnings: vec![warning] }
                }
                None => self.compare(address),
            },
        };
        located.warnings.extend(self.stale(now));
        located
    }

    /// Which databases are older than [`DATABASE_AGE_DAYS_MAX`] at `now`, in words.
    pub fn stale(&self, now: UnixMillis) -> impl Iterator<Item = String> + '_ {
        self.databases.iter().filter_map(move |database| {
            let age_days = now.millis_since(database.built()) / DAY_MILLIS;
            let name = database.name();
            let told =
                || format!("{name} was built {age_days} days ago (more than {DATABASE_AGE_DAYS_MAX}): refresh it");
            (age_days > DATABASE_AGE_DAYS_MAX).then(told)
        })
    }

    /// What is wrong with having too few databases.
    fn too_few(&self) -> Option<String> {
        match self.databases.as_slice() {
            [] => Some("no location database is configured".to_owned()),
            [only] => Some(format!("{} is the only location database: nothing contradicts it", only.name())),
            _ => None,
        }
    }

    /// The databases, as the log names them.
    pub fn sources(&self) -> impl Iterator<Item = LocationSource> + '_ {
        self.databases.iter().map(Database::source)
    }

    fn compare(&self, address: IpAddr) -> Located {
        let mut candidates = BTreeSet::new();
        let mut sources = Vec::new();
        let mut warnings: Vec<String> = self.too_few().into_iter().collect();
        let mut told = Vec::new();
        for database in &self.databases {
            let name = database.name();
            match database.ask(address) {
                Answer::At { place, proxy } => {
                    candidates.insert(place);
                    sources.push(database.source());
                    told.push(format!("{place} by {name}"));
                    if proxy {
                        candidates.insert(Place::Unknown);
                        warnings.push(format!("{name} holds the address for a proxy or a satellite link"));
                    }
                }
                Answer::Nothing => {
                    candidates.insert(Place::Unknown);
                    warnings.push(format!("{name} does not know the address"));
                }
                Answer::Unreadable(problem) => {
                    candidates.insert(Place::Unknown);
                    warnings.push(format!("{name} could not be read for the address: {problem}"));
                }
            }
        }
        if candidates.iter().filter(|place| **place != Place::Unknown).count() > 1 {
            warnings.push(format!("the location databases disagree: {}", told.join(", ")));
        }
        if candidates.is_empty() {
            candidates.insert(Place::Unknown);
        }
        Located { candidates: candidates.into_iter().collect(), sources, warnings }
    }
}

/// The file's name without its folder, for sources and warnings.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
