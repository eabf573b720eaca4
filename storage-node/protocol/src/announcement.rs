//! Announcements: what a node tells the swarm of itself, signed and short-lived.

use std::net::SocketAddr;

use domicile_types::{IdentityKey, NodeId, OperatorId, Party, Place, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::signed::{self, SignedTextError};

/// A node's own word about itself. A gateway compares it with the node's enrolment; it proves nothing by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// Format version: 1.
    pub v: u8,
    /// Who: the signer.
    pub node: NodeId,
    /// Who runs it.
    pub operator: OperatorId,
    /// The legal entity behind the operator.
    pub party: Party,
    /// Where it says it is.
    pub place: Place,
    /// Where its data plane listens.
    pub data_plane: SocketAddr,
    /// Bytes it offers.
    pub capacity_bytes: u64,
    /// Bytes of those that are free.
    pub free_bytes: u64,
    /// Whether it takes shards.
    #[serde(default)]
    pub condition: NodeCondition,
    /// The oldest and the newest version of the node protocol that it speaks.
    #[serde(default)]
    pub speaks: ProtocolVersions,
    /// Name and version of its software.
    pub software: String,
    /// When this was written, by the node's clock.
    pub issued: UnixMillis,
    /// From when on it means nothing.
    pub expires: UnixMillis,
}

/// Whether a node takes shards, by its own word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeCondition {
    /// Stores and serves.
    #[default]
    Serving,
    /// Serves only: above its high-water mark.
    Full,
    /// Serves only: its disk failed a write.
    DiskFault,
    /// Serves only: its operator asked to leave.
    Leaving,
}

/// A range of versions of the node protocol, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProtocolVersions {
    /// The oldest.
    pub oldest: u16,
    /// The newest.
    pub newest: u16,
}

impl ProtocolVersions {
    /// What this code speaks.
    pub const SPOKEN: Self = Self { oldest: 1, newest: 1 };

    /// The newest version that both speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

impl Default for ProtocolVersions {
    fn default() -> Self {
        Self::SPOKEN
    }
}

impl Announcement {
    /// The format version that this code writes.
    pub const VERSION: u8 = 1;
    /// How often a node announces itself, in milliseconds.
    pub const INTERVAL_MILLIS: u64 = 10_000;
    /// How long an announcement holds, in milliseconds: three may be lost.
    pub const LIFETIME_MILLIS: u64 = 40_000;
    /// The longest lifetime that a reader accepts, in milliseconds.
    pub const LIFETIME_MILLIS_MAX: u64 = 600_000;
    /// How far a node's clock may be ahead of the reader's, in milliseconds.
    pub const SKEW_MILLIS_MAX: u64 = 60_000;
}

/// An [`Announcement`] with its node's signature, as the bytes that the swarm carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedAnnouncement(String);

/// Why an announcement was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnouncementError {
    /// Not UTF-8.
    #[error("announcement is not text")]
    NotText,
    /// The text does not hold an announcement signed by the node it names.
    #[error("announcement is not valid")]
    Text(#[from] SignedTextError),
    /// A version that this code does not know.
    #[error("announcement has version {0}, known is 1")]
    Version(u8),
    /// Its time is over.
    #[error("announcement expired at {expires}")]
    Expired {
        /// When it ended.
        expires: UnixMillis,
    },
    /// Its time has not come: the node's clock is ahead.
    #[error("announcement was issued at {issued}, in the future: set the node's clock")]
    FromTheFuture {
        /// When it says it was written.
        issued: UnixMillis,
    },
    /// It claims to hold for longer than announcements may.
    #[error("announcement holds for {millis} ms, allowed are 600000")]
    LivesTooLong {
        /// How long it claims to hold, in milliseconds.
        millis: u64,
    },
}

impl SignedAnnouncement {
    /// Separates an announcement's signature from every other use of the key.
    const DOMAIN: &str = "domicile/announcement/1";
    /// The longest announcement, in bytes.
    pub const BYTES_MAX: usize = 8 * 1024;

    /// Signs `announcement`; `key` must be the key of `announcement.node`, or nobody will accept it.
    #[must_use]
    pub fn sign(announcement: &Announcement, key: &IdentityKey) -> Self {
        Self(signed::seal(Self::DOMAIN, key, announcement))
    }

    /// The bytes to publish.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Reads bytes from the swarm: size, signature, version, lifetime.
    pub fn verify(bytes: &[u8], now: UnixMillis) -> Result<Announcement, AnnouncementError> {
        let text = std::str::from_utf8(bytes).map_err(|_| AnnouncementError::NotText)?;
        let announcement: Announcement =
            signed::open(Self::DOMAIN, text, Self::BYTES_MAX, |announcement: &Announcement| announcement.node)?;
        let Announcement { v, issued, expires, .. } = announcement;
        if v != Announcement::VERSION {
            return Err(AnnouncementError::Version(v));
        }
        if issued > now.plus_millis(Announcement::SKEW_MILLIS_MAX) {
            return Err(AnnouncementError::FromTheFuture { issued });
        }
        if expires <= now {
            return Err(AnnouncementError::Expired { expires });
        }
        let millis = expires.millis_since(issued);
        if millis > Announcement::LIFETIME_MILLIS_MAX {
            return Err(AnnouncementError::LivesTooLong { millis });
        }
        Ok(announcement)
    }
}

#[cfg(test)]
mod tests {
    use domicile_types::PartyId;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

    fn announcement(key: &IdentityKey) -> Announcement {
        Announcement {
            v: Announcement::VERSION,
            node: key.id(),
            operator: OperatorId::parse("operator-1").unwrap(),
            party: Party {
                id: PartyId::parse("party-1").unwrap(),
                name: "\u{5b58}\u{50a8}\u{6709}\u{9650}\u{516c}\u{53f8}".to_owned(),
                incorporated: Place::parse("CN").unwrap(),
                headquartered: Place::parse("CN").unwrap(),
                owners: Vec::new(),
                controlled_by: None,
                certifications: Vec::new(),
            },
            place: Place::parse("CN").unwrap(),
            data_plane: "127.10.0.1:7400".parse().unwrap(),
            capacity_bytes: 1 << 40,
            free_bytes: 1 << 39,
            condition: NodeCondition::Serving,
            speaks: ProtocolVersions::SPOKEN,
            software: "domicile 0.1.0".to_owned(),
            issued: NOW,
            expires: NOW.plus_millis(Announcement::LIFETIME_MILLIS),
        }
    }

    #[test]
    fn an_announcement_round_trips_until_it_expires() {
        let key = IdentityKey::from_seed(&[1; 32]);
        let signed = SignedAnnouncement::sign(&announcement(&key), &key);
        assert_eq!(SignedAnnouncement::verify(signed.as_bytes(), NOW), Ok(announcement(&key)));
        let expires = announcement(&key).expires;
        assert_eq!(SignedAnnouncement::verify(signed.as_bytes(), expires), Err(AnnouncementError::Expired { expires }));
    }

    #[test]
    fn versions_meet_where_their_ranges_do() {
        let range = |oldest, newest| ProtocolVersions { oldest, newest };
        assert_eq!(range(1, 3).common(range(2, 5)), Some(3));
        assert_eq!(range(2, 5).common(range(1, 2)), Some(2));
        assert_eq!(range(1, 1).common(range(2, 3)), None);
    }

    #[test]
    fn an_announcement_for_another_node_is_refused() {
        let (key, other) = (IdentityKey::from_seed(&[1; 32]), IdentityKey::from_seed(&[2; 32]));
        let forged = SignedAnnouncement::sign(&announcement(&key), &other);
        let error = SignedTextError::BadSignature { signer: key.id() };
        assert_eq!(SignedAnnouncement::verify(forged.as_bytes(), NOW), Err(AnnouncementError::Text(error)));
    }

    #[test]
    fn an_announcement_from_the_future_or_for_ever_is_refused() {
        let key = IdentityKey::from_seed(&[1; 32]);
        let issued = NOW.plus_millis(Announcement::SKEW_MILLIS_MAX + 1);
        let future = Announcement { issued, expires: issued.plus_millis(1), ..announcement(&key) };
        assert_eq!(
            SignedAnnouncement::verify(SignedAnnouncement::sign(&future, &key).as_bytes(), NOW),
            Err(AnnouncementError::FromTheFuture { issued })
        );
        let eternal = Announcement { expires: UnixMillis(u64::MAX), ..announcement(&key) };
        assert!(matches!(
            SignedAnnouncement::verify(SignedAnnouncement::sign(&eternal, &key).as_bytes(), NOW),
            Err(AnnouncementError::LivesTooLong { .. })
        ));
    }

    #[test]
    fn an_oversized_announcement_is_refused_before_it_is_read() {
        let key = IdentityKey::from_seed(&[1; 32]);
        let wordy = Announcement { software: "x".repeat(SignedAnnouncement::BYTES_MAX), ..announcement(&key) };
        let signed = SignedAnnouncement::sign(&wordy, &key);
        assert!(matches!(
            SignedAnnouncement::verify(signed.as_bytes(), NOW),
            Err(AnnouncementError::Text(SignedTextError::TooLong { .. }))
        ));
    }
}
