//! The policy document of a form: until when it holds, and what the form may say (Amazon S3's API reference, "POST policy").

use std::ops::RangeInclusive;

use data_encoding::BASE64;
use domicile_types::{BucketName, UnixMillis};
use s3s::{S3Error, S3ErrorCode, S3Result};
use serde::Deserialize;
use serde_json::Value;

use super::fields::Form;

/// Fields that a policy need not speak of: they sign it, or ask for nothing.
const NOT_COVERED: [&str; 4] = ["policy", "signature", "awsaccesskeyid", "x-amz-signature"];

/// A checksum only says which file it is; whoever may upload any may say so.
fn needs_no_condition(field: &str) -> bool {
    NOT_COVERED.contains(&field) || field.starts_with("x-ignore-") || field.starts_with("x-amz-checksum-")
}

/// A policy as it was signed. Unknown members are refused: they may be conditions that are misspelt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    expiration: String,
    conditions: Vec<Value>,
}

/// A policy.
#[derive(Debug)]
pub(super) struct Policy {
    expires: UnixMillis,
    conditions: Vec<Condition>,
}

#[derive(Debug, PartialEq, Eq)]
enum Condition {
    /// The field is exactly this. Names are in lower case.
    Is { field: String, value: String },
    /// The field begins so.
    Begins { field: String, prefix: String },
    /// The file has so many bytes.
    Length(RangeInclusive<u64>),
}

impl Policy {
    /// Reads a policy from its base64.
    pub(super) fn parse(base64: &str) -> S3Result<Self> {
        let json = BASE64.decode(base64.trim().as_bytes()).map_err(|_| invalid("the policy is not base64"))?;
        let document: Document = serde_json::from_slice(&json)
            .map_err(|_| invalid("the policy is not JSON with an expiration and conditions, and nothing else"))?;
        let format = time::format_description::well_known::Rfc3339;
        let expires =
            document.expiration.contains('T').then(|| time::OffsetDateTime::parse(&document.expiration, &format));
        let expires = expires
            .and_then(Result::ok)
            .ok_or_else(|| invalid("the policy's expiration is not a date such as 2026-11-22T15:00:00.000Z"))?;
        let mut conditions = Vec::new();
        for stated in document.conditions {
            conditions
                .extend(condition(stated).ok_or_else(|| invalid("the policy has a condition that is not valid"))?);
        }
        Ok(Self { expires: expires.into(), conditions })
    }

    /// Whether the form may be taken: the policy holds, each of its conditions is met, and it speaks of every field.
    pub(super) fn check(&self, form: &Form, bucket: &BucketName, now: UnixMillis) -> S3Result<()> {
        if now.0 >= self.expires.0 {
            return Err(denied("the policy has expired"));
        }
        // The bucket is where the form was posted to, whatever a field says.
        let value = |name: &str| match name {
            "bucket" => bucket.as_str(),
            _ => form.value(name).unwrap_or_default(),
        };
        if form.value("bucket").is_some_and(|stated| stated != bucket.as_str()) {
            return Err(denied("the field bucket names another bucket than the one that the form was posted to"));
        }
        for condition in &self.conditions {
            let (field, met) = match condition {
                Condition::Is { field, value: wanted } => (field, value(field) == wanted),
                // Several content types may stand in one field; each must begin so.
                Condition::Begins { field, prefix } if field == "content-type" => {
                    (field, value(field).split(',').all(|one| one.trim().starts_with(prefix.as_str())))
                }
                Condition::Begins { field, prefix } => (field, value(field).starts_with(prefix.as_str())),
                // That of the file shows when it has come.
                Condition::Length(_) => continue,
            };
            if !met {
                return Err(denied(&format!("the field {field} does not meet the policy's condition")));
            }
        }
        let covers = |name: &str| {
            self.conditions.iter().any(|condition| match condition {
                Condition::Is { field, .. } | Condition::Begins { field, .. } => field == name,
                Condition::Length(_) => false,
            })
        };
        let stated = form.fields.iter().map(|(name, _)| name.as_str()).chain(["bucket"]);
        let mut loose = stated.filter(|name| !needs_no_condition(name));
        match loose.find(|name| !covers(name)) {
            Some(name) => Err(denied(&format!("the policy has no condition for the field {name}"))),
            None => Ok(()),
        }
    }

    /// How long the file may be, within `most`.
    pub(super) fn length(&self, most: RangeInclusive<u64>) -> RangeInclusive<u64> {
        let ranges = self.conditions.iter().filter_map(|condition| match condition {
            Condition::Length(range) => Some(range),
            _ => None,
        });
        ranges.fold(most, |all, one| *all.start().max(one.start())..=*all.end().min(one.end()))
    }
}

/// `{"field": "value"}`, `["eq" | "starts-with", "$field", "value"]` or `["content-length-range", least, most]`.
fn condition(stated: Value) -> Option<Vec<Condition>> {
    match stated {
        Value::Object(members) if !members.is_empty() => members
            .into_iter()
            .map(|(field, value)| match value {
                Value::String(value) => Some(Condition::Is { field: field.to_ascii_lowercase(), value }),
                _ => None,
            })
            .collect(),
        Value::Array(items) => {
            let [operator, first, second] = items.as_slice() else { return None };
            let operator = operator.as_str()?.to_ascii_lowercase();
            if operator == "content-length-range" {
                return Some(vec![Condition::Length(number(first)?..=number(second)?)]);
            }
            let field = first.as_str()?.strip_prefix('$')?.to_ascii_lowercase();
            let value = second.as_str()?.to_owned();
            match operator.as_str() {
                "eq" => Some(vec![Condition::Is { field, value }]),
                "starts-with" => Some(vec![Condition::Begins { field, prefix: value }]),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A number of bytes; some signers write it as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

fn invalid(message: &str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidPolicyDocument, message.to_owned())
}

fn denied(message: &str) -> S3Error {
    S3Error::with_message(S3ErrorCode::AccessDenied, format!("invalid according to policy: {message}"))
}
