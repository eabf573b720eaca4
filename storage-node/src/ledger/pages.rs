//! The tickets that were kept of one gateway's log, page by page.

use std::ops::ControlFlow;

use domicile_node_protocol::{KeptTicket, LeafHash, PAGE_ROWS_MAX};
use domicile_types::{NodeId, UnixMillis};

use super::{Ledger, number, ticket_key};
use crate::database::{DatabaseError, Table};

impl Ledger {
    /// The tickets behind index `after`, in the order of their index, and what to ask for the next page.
    pub(crate) fn kept(
        &self,
        gateway: &NodeId,
        after: Option<u64>,
    ) -> Result<(Vec<KeptTicket>, Option<u64>), DatabaseError> {
        let Some(from) = after.map_or(Some(0), |after| after.checked_add(1)) else { return Ok((Vec::new(), None)) };
        let (mut tickets, mut more) = (Vec::<KeptTicket>::new(), false);
        self.database.visit_from(Table::Tickets, &ticket_key(gateway, from), |key, value| {
            let Some(index) = key.strip_prefix(&gateway.public_key()[..]) else { return Some(ControlFlow::Break(())) };
            if tickets.len() >= PAGE_ROWS_MAX {
                more = true;
                return Some(ControlFlow::Break(()));
            }
            let index = index.try_into().map(u64::from_be_bytes).ok()?;
            let (leaf, rest) = value.split_first_chunk::<32>()?;
            let first_used = UnixMillis(rest.first_chunk().copied().map(u64::from_le_bytes)?);
            tickets.push(KeptTicket { index, leaf: LeafHash::from_digest(*leaf), spent_bytes: 0, first_used });
            Some(ControlFlow::Continue(()))
        })?;
        for ticket in &mut tickets {
            let spent = self.database.get(Table::Spent, &ticket_key(gateway, ticket.index))?;
            ticket.spent_bytes = spent.map(|row| number(Table::Spent, &row)).transpose()?.unwrap_or(0);
        }
        let next = tickets.last().map(|last| last.index).filter(|_| more);
        Ok((tickets, next))
    }
}
