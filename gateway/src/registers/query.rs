//! Questions to a register, and the cursors that go on with one.

use data_encoding::BASE64URL_NOPAD;
use domicile_types::{DataClass, DataId, NodeId, Place, TenantId, UnixMillis, Verdict};
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::index::{Index, RegisterError};
use super::layout::{Dimension, Stamp};
use super::register::Register;
use super::scan::Walk;

/// In which order rows come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Oldest first.
    #[default]
    Oldest,
    /// Newest first.
    Newest,
}

/// A question to a register. Every filter that is given must fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Query {
    /// Which register.
    pub register: Register,
    /// Not before.
    pub from: Option<UnixMillis>,
    /// Before this.
    pub to: Option<UnixMillis>,
    /// On whose behalf.
    pub tenant: Option<TenantId>,
    /// In the bucket of this name.
    pub bucket: Option<String>,
    /// About the object (or listing prefix) of this name.
    pub key: Option<String>,
    /// About data of this class.
    pub class: Option<DataClass>,
    /// Out of this place: a country means all of it.
    pub from_place: Option<Place>,
    /// Into this place.
    pub to_place: Option<Place>,
    /// By whom: `tenant/access-key`.
    pub actor: Option<String>,
    /// How it was decided.
    pub verdict: Option<Verdict>,
    /// On what it stands: `pack/rule`, a pack, a mechanism, or an approval's id.
    pub basis: Option<String>,
    /// What was done, or what became of something: `get-object`, `revoked`, `quarantined`.
    pub operation: Option<String>,
    /// About this node.
    pub node: Option<NodeId>,
    /// About the body that is stored under this.
    pub data: Option<DataId>,
    /// Which rows come first.
    pub order: Order,
}

/// The names of filters, as paths have them.
pub(super) const FILTERS: [&str; 15] = [
    "from",
    "to",
    "tenant",
    "bucket",
    "key",
    "class",
    "from-place",
    "to-place",
    "actor",
    "verdict",
    "basis",
    "operation",
    "node",
    "data",
    "order",
];

impl Query {
    /// All of a register, oldest first.
    #[must_use]
    pub const fn new(register: Register) -> Self {
        Self {
            register,
            from: None,
            to: None,
            tenant: None,
            bucket: None,
            key: None,
            class: None,
            from_place: None,
            to_place: None,
            actor: None,
            verdict: None,
            basis: None,
            operation: None,
            node: None,
            data: None,
            order: Order::Oldest,
        }
    }

    /// The same, between two times (`to` excluded).
    #[must_use]
    pub fn between(self, from: UnixMillis, to: UnixMillis) -> Self {
        Self { from: Some(from), to: Some(to), ..self }
    }

    /// Reads filters from names and values.
    ///
    /// # Errors
    /// [`RegisterError::BadQuery`] says which filter is wrong, and what would be right.
    pub fn parse<'a>(
        register: Register,
        filters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, RegisterError> {
        let mut query = Self::new(register);
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in filters {
            if seen.contains(&name) {
                return Err(bad(format!("the filter {name} is given twice: give it once")));
            }
            seen.push(name);
            query.set(name, value)?;
        }
        if let (Some(from), Some(to)) = (query.from, query.to)
            && from >= to
        {
            return Err(bad(format!("from ({from}) is not before to ({to}): rows are from `from` on and before `to`")));
        }
        Ok(query)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), RegisterError> {
        let wrong = |error: domicile_types::ParseError| bad(format!("{name}: {error}"));
        let text = || match value {
            "" => Err(bad(format!("the filter {name} is empty: leave it out, or give it a value"))),
            value => Ok(Some(value.to_owned())),
        };
        match name {
            "from" => self.from = Some(moment(name, value)?),
            "to" => self.to = Some(moment(name, value)?),
            "tenant" => self.tenant = Some(TenantId::parse(value).map_err(wrong)?),
            "bucket" => self.bucket = text()?,
            "key" => self.key = text()?,
            "class" => self.class = Some(DataClass::parse(value).map_err(wrong)?),
            "from-place" => self.from_place = Some(Place::parse(value).map_err(wrong)?),
            "to-place" => self.to_place = Some(Place::parse(value).map_err(wrong)?),
            "actor" => self.actor = text()?,
            "verdict" => {
                self.verdict = Some(match value {
                    "allow" => Verdict::Allow,
                    "deny" => Verdict::Deny,
                    _ => return Err(bad(format!("verdict: {value:?} is neither allow nor deny"))),
                });
            }
            "basis" => self.basis = text()?,
            "operation" => self.operation = text()?,
            "node" => self.node = Some(NodeId::parse(value).map_err(wrong)?),
            "data" => self.data = Some(DataId::parse(value).map_err(wrong)?),
            "order" => {
                self.order = match value {
                    "oldest" => Order::Oldest,
                    "newest" => Order::Newest,
                    _ => return Err(bad(format!("order: {value:?} is neither oldest nor newest"))),
                };
            }
            _ => {
                return Err(bad(format!("{name:?} is not a filter of a register; there are {}", FILTERS.join(", "))));
            }
        }
        Ok(())
    }

    /// What a cursor of this query begins with.
    fn mark(&self) -> [u8; 8] {
        let json = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&json).as_bytes().first_chunk::<8>().copied().unwrap_or_default()
    }

    /// The cursor that goes on at `stamp`.
    pub(super) fn cursor(&self, stamp: Stamp) -> String {
        BASE64URL_NOPAD.encode(&[&self.mark()[..], &stamp.bytes()].concat())
    }

    /// Where a cursor of this query goes on.
    pub(super) fn resume(&self, cursor: &str) -> Result<Stamp, RegisterError> {
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok();
        let split = bytes.as_deref().and_then(|bytes| {
            let (mark, stamp) = bytes.split_first_chunk::<8>()?;
            Some((*mark, Stamp::from_bytes(stamp.try_into().ok()?)))
        });
        match split {
            Some((mark, stamp)) if mark == self.mark() => Ok(stamp),
            Some(_) => Err(bad(
                "the cursor is another query's: repeat the register and all filters of the page that it came with, or leave \
                 it out to begin anew"
                    .to_owned(),
            )),
            None => Err(bad("the cursor is not one that a page gave as `next`: leave it out to begin anew".to_owned())),
        }
    }

    /// The walk that answers it, from `resume` on.
    pub(super) fn walk(&self, index: &Index, resume: Option<Stamp>) -> Walk {
        let mut values = Vec::new();
        let mut wants = |dimension: Dimension, value: Option<String>| {
            values.extend(value.map(|value| (dimension.code(), index.hash(dimension, value.as_bytes()))));
        };
        // Those that narrow most first.
        wants(Dimension::Data, self.data.map(|data| data.to_string()));
        wants(Dimension::Key, self.key.clone());
        wants(Dimension::Node, self.node.map(|node| node.to_string()));
        wants(Dimension::Actor, self.actor.clone());
        wants(Dimension::Basis, self.basis.clone());
        wants(Dimension::Bucket, self.bucket.clone());
        wants(Dimension::Tenant, self.tenant.as_ref().map(ToString::to_string));
        wants(Dimension::ToPlace, self.to_place.map(|place| place.to_string()));
        wants(Dimension::FromPlace, self.from_place.map(|place| place.to_string()));
        wants(Dimension::Class, self.class.as_ref().map(ToString::to_string));
        wants(Dimension::Operation, self.operation.clone());
        wants(Dimension::Verdict, self.verdict.map(|verdict| super::facts::kebab(&verdict)));
        wants(Dimension::Register, Some(self.register.name().to_owned()));
        let mut first = self.from.map_or(Stamp::FIRST, |from| Stamp::new(from, 0));
        let mut last = self.to.map_or(Stamp::LAST, |to| Stamp::new(to, 0).before().unwrap_or(Stamp::FIRST));
        match (self.order, resume) {
            (Order::Oldest, Some(resume)) => first = first.max(resume),
            (Order::Newest, Some(resume)) => last = last.min(resume),
            (_, None) => {}
        }
        Walk { values, first, last, order: self.order }
    }
}

/// A stretch of time: a day, or from one time to another.
///
/// # Errors
/// [`RegisterError::BadQuery`].
pub(crate) fn stretch(
    on: Option<&str>,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<(UnixMillis, UnixMillis), RegisterError> {
    const DAY_MILLIS: u64 = 86_400_000;
    match (on, from, to) {
        (Some(on), None, None) => {
            // A day is all of it; a time is that millisecond.
            let begin = moment("on", on)?;
            let length = if on.len() == "2026-05-03".len() { DAY_MILLIS } else { 1 };
            Ok((begin, begin.plus_millis(length)))
        }
        (None, Some(from), Some(to)) => {
            let (from, to) = (moment("from", from)?, moment("to", to)?);
            if from < to { Ok((from, to)) } else { Err(bad(format!("from ({from}) is not before to ({to})"))) }
        }
        _ => Err(bad("say when: on=2026-05-03, or from=... and to=...".to_owned())),
    }
}

/// A time as people write it: a day (its beginning, in UTC), or RFC 3339.
fn moment(name: &str, value: &str) -> Result<UnixMillis, RegisterError> {
    let day = Date::parse(value, format_description!("[year]-[month]-[day]")).map(|day| day.midnight().assume_utc());
    let time = day.or_else(|_| OffsetDateTime::parse(value, &Rfc3339));
    time.map(UnixMillis::from).map_err(|_| {
        bad(format!("{name}: {value:?} is not a time: write 2026-05-03 (midnight in UTC) or 2026-05-03T09:30:00+08:00"))
    })
}

pub(super) const fn bad(why: String) -> RegisterError {
    RegisterError::BadQuery(why)
}
