//! What the node knows of its standing and its accounts: for gateways that ask, and for its operator.

use domicile_node_protocol::{Notice, Refusal, RefusalCode, SignedStatement};
use domicile_types::{NodeId, Party, UnixMillis};

use super::Node;
use super::refusals::unavailable;
use crate::accounting::book::Book;
use crate::accounting::{Account, Month, Terms};
use crate::notices::Notices;

impl Node {
    /// The signed account of `month` with `gateway`: until its end, or until now while it lasts. Blocks on the disk.
    pub(crate) fn statement(&self, gateway: NodeId, month: &str) -> Result<SignedStatement, Refusal> {
        let bad = |message: String| Refusal::new(RefusalCode::BadRequest, message);
        let month = Month::parse(month).map_err(|error| bad(error.to_string()))?;
        let now = self.now();
        if month > Month::of(now) {
            return Err(bad(format!("{month} has not begun")));
        }
        let tally = self.book.tally(gateway, month, now).map_err(|error| unavailable(&error))?;
        let operator = self.persona.operator.clone();
        let account = Account { node: self.key.id(), operator, gateway, month };
        let statement = tally.unwrap_or_default().statement(&account, month.until(now));
        Ok(SignedStatement::sign(&statement, &self.key))
    }

    /// Keeps what a gateway says of how this node stands with it.
    pub(crate) fn keep_notice(&self, gateway: NodeId, notice: Notice) -> Result<(), Refusal> {
        self.notices.keep(gateway, notice).map_err(|error| unavailable(&error))
    }

    pub(crate) fn now(&self) -> UnixMillis {
        (self.clock)()
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.persona.terms
    }

    pub(crate) fn party(&self) -> &Party {
        &self.persona.party
    }

    pub(crate) fn book(&self) -> &Book {
        &self.book
    }

    pub(crate) fn notices(&self) -> &Notices {
        &self.notices
    }

    /// The gateways that it serves.
    pub(crate) fn gateways(&self) -> Vec<NodeId> {
        self.gateways.iter().map(|(gateway, _)| gateway).collect()
    }
}
