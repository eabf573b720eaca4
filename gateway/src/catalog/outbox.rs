//! Messages on their way to webhooks: a queue for each, in rows, so that a restart loses none.

use domicile_types::{BucketName, Classification, PackId, TenantId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{Catalog, CatalogError, compact, keys};
use crate::state::{IfLost, KeyRange, Order, Read, StoredRow, decode, encode};

/// A message to a webhook, and what the law must know to let it go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Names the message: the same whenever it is tried again, so that a receiver knows it.
    pub id: [u8; 16],
    /// Whose bucket it tells of.
    pub tenant: TenantId,
    /// Which bucket.
    pub bucket: BucketName,
    /// The packs of what it tells of.
    pub packs: Vec<PackId>,
    /// What the data is that it tells of.
    #[serde(with = "compact::classification")]
    pub classification: Classification,
    /// Which object; none for a test message.
    pub key: Option<String>,
    /// The JSON document to send.
    pub body: String,
    /// When it was written.
    pub created: UnixMillis,
    /// How often it was tried in vain.
    pub attempts: u32,
}

impl StoredRow for Message {
    const NAME: &'static str = "message to a webhook";
    const VERSION: u8 = 1;
}

/// A message in its place in the queue.
#[derive(Debug, Clone)]
pub struct Queued {
    /// What is to be sent.
    pub message: Message,
    row: Vec<u8>,
}

impl Catalog {
    /// Puts a message into the queue of `webhook`, to be sent at once.
    pub async fn queue_message(&self, webhook: &str, message: Message) -> Result<(), CatalogError> {
        let row = keys::message(webhook, message.created, &message.id);
        self.write(IfLost::Repeat, move |tx| Ok(tx.put(row.clone(), encode(&message)?)?)).await
    }

    /// At most `limit` messages whose time has come, the longest waiting first.
    pub async fn messages_due(
        &self,
        webhook: &str,
        now: UnixMillis,
        limit: usize,
    ) -> Result<Vec<Queued>, CatalogError> {
        let range = KeyRange::new(keys::messages(webhook), keys::messages_after(webhook, now));
        self.read(move |view| {
            let rows = view.scan(&range, limit, Order::Ascending)?;
            let queued =
                |found: crate::state::KeyedRow| Ok(Queued { message: decode(&found.row.value)?, row: found.key });
            rows.into_iter().map(queued).collect()
        })
        .await
    }

    /// How many messages wait, counted up to `limit`.
    pub async fn messages_waiting(&self, webhook: &str, limit: usize) -> Result<usize, CatalogError> {
        let mut range = KeyRange::prefix(&keys::messages(webhook));
        let mut counted = 0;
        while counted < limit {
            let page = range.clone();
            let rows = self.read(move |view| Ok(view.scan(&page, PAGE, Order::Ascending)?)).await?;
            counted += rows.len();
            match rows.last() {
                Some(last) if rows.len() == PAGE => range = range.after(&last.key),
                _ => break,
            }
        }
        Ok(counted.min(limit))
    }

    /// Takes a message out of its queue: it has arrived, or never will.
    pub async fn remove_message(&self, queued: &Queued) -> Result<(), CatalogError> {
        let row = queued.row.clone();
        self.write(IfLost::Repeat, move |tx| Ok(tx.delete(row.clone())?)).await
    }

    /// Puts a message that was tried in vain back into its queue, to be tried again when it is `due`.
    pub async fn postpone_message(&self, webhook: &str, queued: &Queued, due: UnixMillis) -> Result<(), CatalogError> {
        let (old, new) = (queued.row.clone(), keys::message(webhook, due, &queued.message.id));
        let message = Message { attempts: queued.message.attempts.saturating_add(1), ..queued.message.clone() };
        self.write(IfLost::Repeat, move |tx| {
            tx.delete(old.clone())?;
            Ok(tx.put(new.clone(), encode(&message)?)?)
        })
        .await
    }
}

/// Rows that are counted at a time.
const PAGE: usize = 500;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::CatalogConfig;
    use crate::state::{MemoryStore, Owner};

    fn catalog() -> Catalog {
        let config = CatalogConfig { token_key: [1; 32], process: Owner([2; 16]), sweep_grace_millis: 0 };
        Catalog::new(Arc::new(MemoryStore::new(Arc::new(|| UnixMillis(0)))), config)
    }

    fn message(id: u8, created: u64) -> Message {
        Message {
            id: [id; 16],
            tenant: TenantId::parse("tenant-a").unwrap(),
            bucket: BucketName::parse("training").unwrap(),
            packs: vec![PackId::parse("eu-gdpr").unwrap()],
            classification: Classification::default(),
            key: Some("a/b".to_owned()),
            body: "{}".to_owned(),
            created: UnixMillis(created),
            attempts: 0,
        }
    }

    async fn due(catalog: &Catalog, webhook: &str, now: u64) -> Vec<(u8, u32)> {
        let due = catalog.messages_due(webhook, UnixMillis(now), 10).await.unwrap();
        due.iter().map(|queued| (queued.message.id[0], queued.message.attempts)).collect()
    }

    #[tokio::test]
    async fn a_queue_is_in_order_and_its_own() {
        let catalog = catalog();
        for (webhook, id, created) in [("a", 2, 20), ("a", 1, 10), ("ab", 3, 5), ("a", 4, 40)] {
            catalog.queue_message(webhook, message(id, created)).await.unwrap();
        }
        assert_eq!(due(&catalog, "a", 39).await, [(1, 0), (2, 0)]);
        assert_eq!(due(&catalog, "a", 40).await, [(1, 0), (2, 0), (4, 0)]);
        assert_eq!(due(&catalog, "ab", 40).await, [(3, 0)]);
        assert_eq!(catalog.messages_waiting("a", 10).await.unwrap(), 3);
        assert_eq!(catalog.messages_waiting("a", 2).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_message_tried_in_vain_comes_again_later_and_one_that_arrived_does_not() {
        let catalog = catalog();
        catalog.queue_message("a", message(1, 10)).await.unwrap();
        catalog.queue_message("a", message(2, 11)).await.unwrap();
        let found = catalog.messages_due("a", UnixMillis(20), 10).await.unwrap();
        catalog.postpone_message("a", &found[0], UnixMillis(100)).await.unwrap();
        assert_eq!(due(&catalog, "a", 20).await, [(2, 0)]);
        catalog.remove_message(&found[1]).await.unwrap();
        assert_eq!(due(&catalog, "a", 99).await, []);
        assert_eq!(due(&catalog, "a", 100).await, [(1, 1)]);
    }
}
