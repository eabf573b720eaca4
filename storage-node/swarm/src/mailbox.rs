//! What a reader of announcements has not read yet: bounded per source, the oldest of a source goes first.

use std::collections::VecDeque;
use std::sync::Arc;

use domicile_types::NodeId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::config::ANNOUNCEMENTS_PENDING_PER_SOURCE_MAX;

/// A reader's view of the announcements: first what is known already, then each one as it is heard.
///
/// The source is authenticated (by its gossip signature, or by the connection it came on) and was on the allow list
/// when it was heard. What a source repeats byte for byte is given once.
#[derive(Debug)]
pub struct Announcements {
    mailbox: Arc<Mailbox>,
}

impl Announcements {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox }
    }

    /// The next announcement and who made it; waits for one. `None`: the swarm has stopped, and all was read.
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<(NodeId, Vec<u8>)> {
        loop {
            let changed = self.mailbox.changed.notified();
            match self.mailbox.take() {
                Some(Letter::Announcement(source, bytes)) => return Some((source, bytes.to_vec())),
                Some(Letter::End) => return None,
                None => changed.await,
            }
        }
    }

    /// The next announcement, if one is waiting.
    pub fn try_next(&mut self) -> Option<(NodeId, Vec<u8>)> {
        match self.mailbox.take() {
            Some(Letter::Announcement(source, bytes)) => Some((source, bytes.to_vec())),
            Some(Letter::End) | None => None,
        }
    }
}

/// The queue behind one [`Announcements`].
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    pending: Mutex<Pending>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    queue: VecDeque<(NodeId, Arc<[u8]>)>,
    closed: bool,
}

enum Letter {
    Announcement(NodeId, Arc<[u8]>),
    End,
}

impl Mailbox {
    /// Adds an announcement. True if the oldest of the same source had to go.
    pub(crate) fn put(&self, source: NodeId, bytes: Arc<[u8]>) -> bool {
        let mut pending = self.pending.lock();
        let of_source = pending.queue.iter().filter(|(from, _)| *from == source).count();
        let full = of_source >= ANNOUNCEMENTS_PENDING_PER_SOURCE_MAX;
        if full && let Some(oldest) = pending.queue.iter().position(|(from, _)| *from == source) {
            pending.queue.remove(oldest);
        }
        pending.queue.push_back((source, bytes));
        drop(pending);
        self.changed.notify_one();
        full
    }

    /// Forgets the sources that `keep` refuses.
    pub(crate) fn retain(&self, keep: impl Fn(&NodeId) -> bool) {
        self.pending.lock().queue.retain(|(source, _)| keep(source));
    }

    /// Nothing more will come.
    pub(crate) fn close(&self) {
        self.pending.lock().closed = true;
        self.changed.notify_one();
    }

    fn take(&self) -> Option<Letter> {
        let mut pending = self.pending.lock();
        match pending.queue.pop_front() {
            Some((source, bytes)) => Some(Letter::Announcement(source, bytes)),
            None if pending.closed => Some(Letter::End),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use domicile_types::IdentityKey;

    use super::*;

    fn node(seed: u8) -> NodeId {
        IdentityKey::from_seed(&[seed; 32]).id()
    }

    #[tokio::test]
    async fn a_noisy_source_drops_its_own_oldest_and_nobody_elses() {
        let mailbox = Arc::new(Mailbox::default());
        let mut reader = Announcements::new(mailbox.clone());
        assert!(!mailbox.put(node(1), Arc::from(*b"quiet")));
        let dropped = (0..20u8).filter(|i| mailbox.put(node(2), Arc::from([*i]))).count();
        assert_eq!(dropped, 20 - ANNOUNCEMENTS_PENDING_PER_SOURCE_MAX);
        assert_eq!(reader.next().await, Some((node(1), b"quiet".to_vec())));
        for i in 16..20u8 {
            assert_eq!(reader.next().await, Some((node(2), vec![i])));
        }
        assert_eq!(reader.try_next(), None);
    }

    #[tokio::test]
    async fn what_was_put_before_the_end_is_still_read() {
        let mailbox = Arc::new(Mailbox::default());
        let mut reader = Announcements::new(mailbox.clone());
        mailbox.put(node(1), Arc::from(*b"last"));
        mailbox.close();
        assert_eq!(reader.next().await, Some((node(1), b"last".to_vec())));
        assert_eq!(reader.next().await, None);
        assert_eq!(reader.next().await, None);
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let mailbox = Arc::new(Mailbox::default());
        let mut reader = Announcements::new(mailbox.clone());
        let waiting = tokio::spawn(async move { reader.next().await });
        tokio::task::yield_now().await;
        mailbox.put(node(1), Arc::from(*b"now"));
        assert_eq!(waiting.await.unwrap(), Some((node(1), b"now".to_vec())));
    }
}
