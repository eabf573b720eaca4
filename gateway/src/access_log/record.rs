//! One line about one request, in the form of Amazon S3's server access logs (its user guide, "Amazon S3 server access log
//! format").

use domicile_types::{BucketName, UnixMillis};
use time::OffsetDateTime;
use time::macros::format_description;

/// What is known of a request when it has been answered. What is not known is shown as `-`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    /// When it came, in milliseconds since 1970.
    pub(crate) came_millis: u64,
    /// The requester's address.
    pub(crate) address: Option<String>,
    /// Tenant and access key; none of a request that is not signed.
    pub(crate) requester: Option<String>,
    /// `x-amz-request-id` of the answer.
    pub(crate) request: String,
    /// `REST.GET.OBJECT`.
    pub(crate) operation: String,
    /// The object.
    pub(crate) key: Option<String>,
    /// The first line of the request.
    pub(crate) line: String,
    /// HTTP status.
    pub(crate) status: u16,
    /// S3's code of a refusal.
    pub(crate) error: Option<String>,
    /// Bytes of the answer's body that were sent.
    pub(crate) sent_bytes: u64,
    /// Bytes of the object.
    pub(crate) object_bytes: Option<u64>,
    /// From the first byte of the request until the last of the answer.
    pub(crate) total_millis: u64,
    /// Until the first of the answer.
    pub(crate) turn_around_millis: u64,
    /// `Referer`
    pub(crate) referrer: Option<String>,
    /// `User-Agent`
    pub(crate) user_agent: Option<String>,
    /// The version that was asked for or made.
    pub(crate) version: Option<String>,
    /// `AuthHeader` or `QueryString`.
    pub(crate) auth_type: Option<&'static str>,
    /// `Host`
    pub(crate) host: Option<String>,
    /// Whether it came over TLS.
    pub(crate) secure: bool,
}

impl Record {
    /// The line, without its end.
    pub(crate) fn line(&self, owner: &str, bucket: &BucketName) -> String {
        let text = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), plain);
        let quoted = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), |text| quote(text));
        let number = |number: Option<u64>| number.filter(|n| *n > 0).map_or_else(|| "-".to_owned(), |n| n.to_string());
        let fields = [
            plain(owner),
            bucket.to_string(),
            time_text(UnixMillis(self.came_millis)),
            text(&self.address),
            text(&self.requester),
            plain(&self.request),
            plain(&self.operation),
            self.key.as_deref().map_or_else(|| "-".to_owned(), encoded),
            quote(&self.line),
            self.status.to_string(),
            text(&self.error),
            number(Some(self.sent_bytes)),
            number(self.object_bytes),
            self.total_millis.to_string(),
            self.turn_around_millis.to_string(),
            quoted(&self.referrer),
            quoted(&self.user_agent),
            text(&self.version),
            "-".to_owned(),
            self.auth_type.map_or("-", |_| "SigV4").to_owned(),
            "-".to_owned(),
            self.auth_type.unwrap_or("-").to_owned(),
            text(&self.host),
            if self.secure { "TLS" } else { "-" }.to_owned(),
            "-".to_owned(),
            "-".to_owned(),
        ];
        fields.join(" ")
    }
}

/// A field without blanks, quotes or brackets: what a client sent must not look like two fields or two lines.
fn plain(text: &str) -> String {
    escape(text, |c| c == ' ' || c == '"' || c == '\'' || c == '[' || c == ']' || c == '\\')
}

/// A field in quotes.
fn quote(text: &str) -> String {
    format!("\"{}\"", escape(text, |c| c == '"' || c == '\\'))
}

/// An object key, URL-encoded but for slashes.
fn encoded(key: &str) -> String {
    let piece = |piece: &str| url::form_urlencoded::byte_serialize(piece.as_bytes()).collect::<String>();
    key.split('/').map(piece).collect::<Vec<_>>().join("/")
}

/// Percent-encodes control characters and what `also` names; an empty text becomes `-`.
fn escape(text: &str, also: impl Fn(char) -> bool) -> String {
    use std::fmt::Write as _;
    if text.is_empty() {
        return "-".to_owned();
    }
    text.chars().fold(String::new(), |mut out, c| {
        if c.is_control() || also(c) {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                // Writing into a String does not fail.
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
        out
    })
}

fn time_text(at: UnixMillis) -> String {
    let format = format_description!("[[[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000]");
    OffsetDateTime::from(at).format(&format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            came_millis: 1_549_411_238_000,
            address: Some("192.0.2.3".to_owned()),
            requester: Some("tenant-a/AKID".to_owned()),
            request: "00ff".to_owned(),
            operation: "REST.GET.OBJECT".to_owned(),
            key: Some("photos/august moon.jpg".to_owned()),
            line: "GET /bucket/photos/august%20moon.jpg HTTP/1.1".to_owned(),
            status: 200,
            sent_bytes: 113,
            object_bytes: Some(113),
            total_millis: 7,
            turn_around_millis: 5,
            user_agent: Some("curl/7 \"x\" [y]\r\nforged".to_owned()),
            auth_type: Some("AuthHeader"),
            host: Some("gateway.example".to_owned()),
            ..Record::default()
        }
    }

    #[test]
    fn a_line_has_the_fields_of_s3_in_their_order() {
        let bucket = BucketName::parse("training").unwrap();
        assert_eq!(
            record().line("tenant-a", &bucket),
            "tenant-a training [06/Feb/2019:00:00:38 +0000] 192.0.2.3 tenant-a/AKID 00ff REST.GET.OBJECT \
             photos/august+moon.jpg \"GET /bucket/photos/august%20moon.jpg HTTP/1.1\" 200 - 113 113 7 5 - \
             \"curl/7 %22x%22 [y]%0D%0Aforged\" - - SigV4 - AuthHeader gateway.example - - -"
        );
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_no_field_is_lost() {
        let bucket = BucketName::parse("training").unwrap();
        let line = Record { line: "GET".to_owned(), ..Record::default() }.line("tenant-a", &bucket);
        // The time takes two.
        assert_eq!(line.split(' ').count(), 26 + 1, "{line}");
    }
}
