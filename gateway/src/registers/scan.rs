//! Walks: which entries have all of several values, in the order of time.
//!
//! Every value has a list of stamps. The walk asks one list after the other for its first stamp at or behind the latest that
//! any of them named, until all name the same: no list is read where another has nothing.

use rocksdb::DBRawIterator;

use super::index::{Index, RegisterError};
use super::layout::{LIST_BYTES, Stamp, ValueHash, list};
use super::query::Order;

/// Places in lists that one walk looks at. What is found by then is answered, with a cursor to go on from.
const LOOKS_MAX: u32 = 200_000;

/// What a walk found.
pub(super) struct Found {
    pub(super) stamps: Vec<Stamp>,
    /// Where the next walk begins; nothing when there is no more.
    pub(super) next: Option<Stamp>,
}

/// The values that entries must have, and between which stamps (both included) they are looked for.
pub(super) struct Walk {
    pub(super) values: Vec<(u8, ValueHash)>,
    pub(super) first: Stamp,
    pub(super) last: Stamp,
    pub(super) order: Order,
}

struct List<'a> {
    rows: DBRawIterator<'a>,
    prefix: Vec<u8>,
    order: Order,
    is_placed: bool,
}

impl List<'_> {
    /// The stamp at `target`, or the next behind it.
    fn at(&mut self, target: Stamp) -> Result<Option<Stamp>, RegisterError> {
        let reached = |stamp: Stamp| match self.order {
            Order::Oldest => stamp >= target,
            Order::Newest => stamp <= target,
        };
        if self.is_placed {
            // Lists are dense where they matter: the next one is more often wanted than not.
            for _ in 0..2 {
                match self.rows.key().and_then(Stamp::of_posting) {
                    Some(stamp) if reached(stamp) => return Ok(Some(stamp)),
                    Some(_) if self.order == Order::Oldest => self.rows.next(),
                    Some(_) => self.rows.prev(),
                    None => break,
                }
            }
        }
        let mut key = self.prefix.clone();
        key.truncate(LIST_BYTES);
        key.extend_from_slice(&target.bytes());
        match self.order {
            Order::Oldest => self.rows.seek(&key),
            Order::Newest => self.rows.seek_for_prev(&key),
        }
        self.is_placed = true;
        self.rows.status()?;
        Ok(self.rows.key().and_then(Stamp::of_posting))
    }
}

impl Index {
    /// At most `limit` entries of a walk.
    pub(super) fn walk(&self, walk: &Walk, limit: usize) -> Result<Found, RegisterError> {
        let mut lists: Vec<List<'_>> = walk
            .values
            .iter()
            .map(|(dimension, value)| {
                let prefix = list(*dimension, value);
                List { rows: self.iterate(&prefix), prefix, order: walk.order, is_placed: false }
            })
            .collect();
        let ascending = walk.order == Order::Oldest;
        let (mut target, end) = if ascending { (walk.first, walk.last) } else { (walk.last, walk.first) };
        let is_over = |stamp: Stamp| if ascending { stamp > end } else { stamp < end };
        let mut found = Found { stamps: Vec::new(), next: None };
        let (mut agreed, mut turn, mut looks) = (0, 0, 0_u32);
        while let Some(list) = lists.get_mut(turn) {
            if found.stamps.len() == limit || looks == LOOKS_MAX {
                found.next = Some(target);
                break;
            }
            looks += 1;
            let Some(stamp) = list.at(target)? else { break };
            if is_over(stamp) {
                break;
            }
            agreed = if stamp == target { agreed + 1 } else { 1 };
            target = stamp;
            turn += 1;
            if agreed >= walk.values.len() {
                found.stamps.push(stamp);
                agreed = 0;
                match if ascending { Some(stamp.after()) } else { stamp.before() } {
                    Some(next) => target = next,
                    None => break,
                }
            }
            if turn == lists.len() {
                turn = 0;
            }
        }
        if found.next.is_some_and(is_over) {
            found.next = None;
        }
        Ok(found)
    }
}
