//! Sessions: short credentials for a role. Nothing of them is stored; the token says it all, sealed.

use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use domicile_types::{BucketName, Place, TenantId, UnixMillis};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Accounts, Role, Seals};
use crate::clock::Clock;
use crate::objects::RoleScope;
use crate::policy::{MalformedPolicy, Policy};

/// The shortest session, in seconds.
pub const SESSION_SECONDS_MIN: u32 = 15 * 60;
/// The longest session, in seconds.
pub const SESSION_SECONDS_MAX: u32 = 12 * 60 * 60;

/// Before the random part of a session's access key id.
const KEY_ID_PREFIX: &str = "DSES";
/// Characters of the random part: 20 bytes in base32.
const KEY_ID_CHARS: usize = 32;
/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// What a token of this release begins with, sealed.
const VERSION: u8 = 1;

/// Whether a key id has the form of a session's.
pub(super) fn is_key_id(access_key: &str) -> bool {
    access_key.strip_prefix(KEY_ID_PREFIX).is_some_and(|rest| {
        rest.len() == KEY_ID_CHARS && rest.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b))
    })
}

/// What is asked of AssumeRole.
pub struct SessionRequest<'a> {
    /// The key that asks.
    pub assumed_by: &'a str,
    /// The role.
    pub role: &'a Role,
    /// `RoleSessionName`: who the log says it was.
    pub name: &'a str,
    /// A policy that narrows further.
    pub policy: Option<&'a str>,
    /// Until when.
    pub expires: UnixMillis,
}

/// Credentials of a session.
pub struct IssuedSession {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: Zeroizing<String>,
    /// Session token.
    pub token: String,
    /// Until when.
    pub expires: UnixMillis,
}

/// What a token says.
#[derive(Serialize, Deserialize)]
pub(super) struct Session {
    version: u8,
    pub(super) tenant: TenantId,
    pub(super) assumed_by: String,
    pub(super) role: String,
    pub(super) role_created: UnixMillis,
    pub(super) name: String,
    pub(super) expires: UnixMillis,
    bucket: String,
    prefix: String,
    places: Vec<String>,
    policy: Option<String>,
}

impl Session {
    pub(super) fn open(seals: &Seals, access_key: &str, token: &str) -> Option<Self> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let session: Self = postcard::from_bytes(&seals.open_token(access_key, token)?).ok()?;
        (session.version == VERSION).then_some(session)
    }

    pub(super) fn policy(&self) -> Result<Option<Arc<Policy>>, MalformedPolicy> {
        self.policy.as_deref().map(|document| Policy::of_identity(document).map(Arc::new)).transpose()
    }

    /// None where it is not understood.
    pub(super) fn scope(&self) -> Option<RoleScope> {
        let places = self.places.iter().map(|place| Place::parse(place)).collect::<Result<Vec<_>, _>>().ok()?;
        let bucket = BucketName::parse(&self.bucket).ok()?;
        Some(RoleScope { role: self.role.clone(), bucket, prefix: self.prefix.clone(), places })
    }
}

impl Accounts {
    /// Issues a session. `None` where it cannot be sealed, which is a fault of this program.
    #[must_use]
    pub fn issue(&self, request: &SessionRequest<'_>, clock: Clock) -> Option<IssuedSession> {
        let access_key = format!("{KEY_ID_PREFIX}{}", BASE32_NOPAD.encode(&clock.random::<20>()));
        let role = request.role;
        let session = Session {
            version: VERSION,
            tenant: role.tenant.clone(),
            assumed_by: request.assumed_by.to_owned(),
            role: role.name.clone(),
            role_created: role.created,
            name: request.name.to_owned(),
            expires: request.expires,
            bucket: role.bucket.clone(),
            prefix: role.prefix.clone(),
            places: role.places.clone(),
            policy: request.policy.map(str::to_owned),
        };
        let token = self.seals().seal_token(&access_key, &postcard::to_stdvec(&session).ok()?)?;
        let secret_key = self.seals().session_secret(&access_key);
        Some(IssuedSession { access_key, secret_key, token, expires: request.expires })
    }
}
