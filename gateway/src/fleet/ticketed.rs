//! A logged intent with its ticket in wire form: the key to the data plane.

use domicile_compliance::audit::{Appending, LoggedIntent};
use domicile_types::{DataId, OutcomeStatus};
use http::HeaderValue;

/// What [`super::NodeClient`] demands for every shard. Made from a durable intent, once per operation.
pub struct Ticketed {
    intent: LoggedIntent,
    data: DataId,
    data_header: HeaderValue,
    ticket_header: HeaderValue,
}

impl Ticketed {
    /// `None` when the intent names no data, so that it opens no shard; or when its ticket does not fit a header.
    #[must_use]
    pub fn new(intent: LoggedIntent) -> Option<Self> {
        let data = intent.intent().data?;
        let ticket_header = HeaderValue::try_from(intent.ticket().to_string()).ok()?;
        let data_header = HeaderValue::try_from(data.to_string()).ok()?;
        Some(Self { intent, data, data_header, ticket_header })
    }

    /// The logged intent.
    #[must_use]
    pub const fn intent(&self) -> &LoggedIntent {
        &self.intent
    }

    /// What the shards are stored under.
    #[must_use]
    pub const fn data(&self) -> DataId {
        self.data
    }

    pub(super) const fn headers(&self) -> (&HeaderValue, &HeaderValue) {
        (&self.ticket_header, &self.data_header)
    }

    /// Records how the operation ended; see [`LoggedIntent::finish`].
    pub fn finish(self, status: OutcomeStatus, bytes: u64, http_status: u16) -> Appending {
        self.intent.finish(status, bytes, http_status)
    }
}
