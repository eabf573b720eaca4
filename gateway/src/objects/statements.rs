//! Statements of account: the gateway's sums, the nodes' signed ones, and what both come to.

use std::time::Duration;

use domicile_compliance::audit::Event;
use domicile_storage_node::accounting::{Account, Month};
use domicile_types::{FleetChange, OperatorId, RequestId};
use futures::StreamExt;

use super::authorize::log_unavailable;
use super::error::Error;
use super::gateway::Gateway;
use crate::catalog::Stamp;
use crate::fleet::statement::{Reconciled, mismatch, reconcile};
use domicile_node_protocol::{SignedStatement, Statement};

/// How often sums are written down. A gateway that is killed forgets so much.
const WRITE_EVERY: Duration = Duration::from_secs(2);
/// Nodes asked at once.
const ASKED_AT_ONCE: usize = 16;

impl Gateway {
    /// The month of every enrolled node, or of those of one operator, as both sides see it.
    pub async fn statements(&self, month: Month, operator: Option<&OperatorId>) -> Result<Vec<Reconciled>, Error> {
        if month.start() > self.clock.now() {
            return Err(Error::InvalidArgument(format!("{month} has not begun")));
        }
        self.write_tallies().await?;
        let enrolled = self.directory.enrolled();
        let wanted = enrolled.values().filter(|node| operator.is_none_or(|operator| node.operator == *operator));
        let accounts = wanted.map(|node| Account {
            node: node.id,
            operator: node.operator.clone(),
            gateway: self.identity,
            month,
        });
        let accounts: Vec<Account> = accounts.collect();
        let asked = futures::stream::iter(accounts).map(|account| self.statement(account)).buffered(ASKED_AT_ONCE);
        let made: Vec<Result<Reconciled, Error>> = asked.collect().await;
        let mut made = made.into_iter().collect::<Result<Vec<_>, _>>()?;
        made.sort_by(|a, b| (&a.operator, a.node).cmp(&(&b.operator, b.node)));
        Ok(made)
    }

    async fn statement(&self, account: Account) -> Result<Reconciled, Error> {
        let now = self.clock.now();
        let tally = self.catalog.account(account.node, account.month).await?;
        let (theirs, doubt) = self.their_statement(&account).await?;
        let (terms, tolerance) = (&self.config.terms, self.config.reconcile_tolerance_basis_points);
        let mut made = reconcile(&account, &tally, theirs, now, terms, tolerance);
        made.differences.extend(doubt);
        Ok(made)
    }

    /// What the node signed, and why that is not to be believed if it is not. Of a month that is over the first one that it
    /// gave is kept, so that it cannot change its mind.
    async fn their_statement(&self, account: &Account) -> Result<(Option<(Statement, String)>, Option<String>), Error> {
        let Account { node, month, .. } = *account;
        let kept = self.catalog.kept_statement(node, month).await?;
        let fresh = kept.is_none();
        let text = match kept {
            Some(text) => text,
            None => match self.nodes.statement(node, month).await {
                Ok(signed) => signed.as_str().to_owned(),
                Err(error) => {
                    tracing::info!(%node, %month, %error, "a node gave no statement");
                    return Ok((None, None));
                }
            },
        };
        let statement = match SignedStatement::from_wire(&text).verify() {
            Ok(statement) => statement,
            Err(error) => return Ok((None, Some(format!("the node's statement does not hold: {error}")))),
        };
        if let Some(why) = mismatch(&statement, account) {
            return Ok((None, Some(format!("the node's statement does not hold: {why}"))));
        }
        if fresh && statement.until == month.next().start() {
            self.keep(account, &text).await?;
        }
        Ok((Some((statement, text)), None))
    }

    async fn keep(&self, account: &Account, text: &str) -> Result<(), Error> {
        let request = RequestId::from_bytes(self.clock.random());
        let event = Event::Fleet {
            what: FleetChange::Stated,
            operator: Some(account.operator.clone()),
            node: Some(account.node),
            reasons: vec![account.month.to_string()],
            record: Some(blake3::hash(text.as_bytes()).to_hex().to_string()),
            by: None,
        };
        self.log.note(request, event).await.map_err(log_unavailable)?;
        let stamp = Stamp { now: self.clock.now(), request };
        Ok(self.catalog.keep_statement(stamp, account.node, account.month, text.to_owned()).await?)
    }

    /// Writes down what was counted since the last time.
    pub(crate) async fn write_tallies(&self) -> Result<(), Error> {
        let mut sums = self.nodes.tallies().take();
        while !sums.is_empty() {
            let request = RequestId::from_bytes(self.clock.random());
            let stamp = Stamp { now: self.clock.now(), request };
            match self.catalog.add_to_accounts(stamp, sums.clone()).await {
                Ok(rest) => sums = rest,
                Err(error) => {
                    self.nodes.tallies().give_back(&sums);
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }
}

/// Writes sums down every few seconds.
pub(crate) async fn run(gateway: Gateway) {
    loop {
        tokio::time::sleep(WRITE_EVERY).await;
        if let Err(error) = gateway.write_tallies().await {
            tracing::warn!(%error, "the accounts of nodes could not be written down");
        }
    }
}
