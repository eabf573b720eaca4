//! OCSF 1.8, API Activity (class 6003), with an extension `residency` for what OCSF has no words for.
//!
//! OCSF takes the requester for the source although data flows *to* it; the destination stands in the extension, explicitly.

use domicile_types::Verdict;
use serde_json::{Map, Value, json};

use crate::registers::record::{EventRecord, State};

/// Category Application Activity.
const CATEGORY_UID: u32 = 6;
/// Class API Activity.
const CLASS_UID: u32 = 6003;
/// The version of OCSF that is written.
const OCSF_VERSION: &str = "1.8.0";

/// Activities of the class.
#[derive(Clone, Copy)]
enum Activity {
    Create,
    Read,
    Update,
    Delete,
    Other,
}

impl Activity {
    fn of(operation: &str) -> Self {
        match operation {
            "put-object"
            | "upload-part"
            | "create-multipart-upload"
            | "complete-multipart-upload"
            | "copy-object"
            | "create-bucket" => Self::Create,
            "get-object" | "head-object" | "list-objects" | "list-uploads" | "list-buckets" | "head-bucket" => {
                Self::Read
            }
            "tag-object" | "configure-bucket" | "repair" => Self::Update,
            "delete-object" | "abort-multipart-upload" | "delete-bucket" | "sweep" => Self::Delete,
            _ => Self::Other,
        }
    }

    const fn id(self) -> u32 {
        match self {
            Self::Create => 1,
            Self::Read => 2,
            Self::Update => 3,
            Self::Delete => 4,
            Self::Other => 99,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Read => "Read",
            Self::Update => "Update",
            Self::Delete => "Delete",
            Self::Other => "Other",
        }
    }
}

/// The event of a row.
pub(in crate::registers) fn event(row: &EventRecord) -> Value {
    let activity = Activity::of(&row.operation);
    let operation = if row.operation.is_empty() { &row.kind } else { &row.operation };
    let (status_id, status) = match row.state {
        State::Attempt | State::Failed | State::Aborted => (2, "Failure"),
        State::Completed | State::Recorded => (1, "Success"),
        State::Authorised | State::AssumedWhole => (0, "Unknown"),
    };
    let (severity_id, severity) = match (row.verdict, row.export) {
        (Some(Verdict::Deny), true) => (4, "High"),
        (Some(Verdict::Deny), false) => (3, "Medium"),
        (_, true) => (2, "Low"),
        _ => (1, "Informational"),
    };
    let mut event = json!({
        "category_uid": CATEGORY_UID,
        "category_name": "Application Activity",
        "class_uid": CLASS_UID,
        "class_name": "API Activity",
        "activity_id": activity.id(),
        "activity_name": activity.name(),
        "type_uid": CLASS_UID * 100 + activity.id(),
        "type_name": format!("API Activity: {}", activity.name()),
        "time": row.time.0,
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "status_detail": row.state.name(),
        "metadata": {
            "version": OCSF_VERSION,
            "uid": format!("{}#{}", row.log, row.index),
            "log_name": row.log,
            "sequence": row.index,
            "original_time": row.time.to_string(),
            "product": { "name": "Domicile", "vendor_name": "Domicile", "version": env!("CARGO_PKG_VERSION") },
            "profiles": ["security_control", "data_classification"],
            "extension": { "name": "residency", "uid": "999", "version": "1.0.0" },
        },
        "api": { "operation": operation, "request": { "uid": row.request }, "service": { "name": "domicile" } },
        "actor": { "user": user(row) },
        "src_endpoint": source(row),
        "dst_endpoint": gateway(row),
        "residency": residency(row),
    });
    if let Some(fields) = event.as_object_mut() {
        add_optional(fields, row);
    }
    event
}

fn add_optional(fields: &mut Map<String, Value>, row: &EventRecord) {
    if let Some(code) = row.http_status.filter(|code| *code != 0) {
        fields.insert("http_response".to_owned(), json!({ "code": code }));
    }
    if let Some(started) = row.started {
        fields.insert("start_time".to_owned(), json!(started.0));
    }
    if let Some(ended) = row.ended {
        fields.insert("end_time".to_owned(), json!(ended.0));
    }
    if let Some(verdict) = row.verdict {
        let (action_id, action, disposition_id, disposition) = match verdict {
            Verdict::Allow => (1, "Allowed", 1, "Allowed"),
            Verdict::Deny => (2, "Denied", 2, "Blocked"),
        };
        fields.insert("action_id".to_owned(), json!(action_id));
        fields.insert("action".to_owned(), json!(action));
        fields.insert("disposition_id".to_owned(), json!(disposition_id));
        fields.insert("disposition".to_owned(), json!(disposition));
    }
    if let Some(rule) = row.rules.first() {
        let mut policy = json!({ "uid": rule, "name": rule });
        if let (Some(policy), Some(cite)) = (policy.as_object_mut(), row.cites.first()) {
            policy.insert("desc".to_owned(), json!(cite));
        }
        fields.insert("policy".to_owned(), policy);
    }
    let resources = resources(row);
    if !resources.is_empty() {
        fields.insert("resources".to_owned(), Value::Array(resources));
    }
    if !row.classes.is_empty() {
        let classes: Vec<Value> = row.classes.iter().map(|class| json!({ "category": class })).collect();
        fields.insert("data_classifications".to_owned(), Value::Array(classes));
    }
}

fn user(row: &EventRecord) -> Value {
    let mut user = Map::new();
    user.insert("name".to_owned(), json!(row.actor.as_deref().unwrap_or("gateway")));
    if let Some(tenant) = &row.tenant {
        user.insert("account".to_owned(), json!({ "uid": tenant }));
    }
    Value::Object(user)
}

/// A place as OCSF has it: the country, and the subdivision after a hyphen.
fn location(place: &str) -> Value {
    match place.split_once('-') {
        Some((country, _)) => json!({ "country": country, "region": place }),
        None if place == "unknown" => json!({ "desc": "unknown" }),
        None => json!({ "country": place }),
    }
}

fn source(row: &EventRecord) -> Value {
    let mut endpoint = Map::new();
    match &row.address {
        Some(address) if row.opened => endpoint.insert("ip".to_owned(), json!(address)),
        Some(pseudonym) => endpoint.insert("uid".to_owned(), json!(pseudonym)),
        None => endpoint.insert("uid".to_owned(), json!("gateway")),
    };
    if let [place] = row.requester_places.as_slice() {
        endpoint.insert("location".to_owned(), location(place));
    }
    Value::Object(endpoint)
}

fn gateway(row: &EventRecord) -> Value {
    let mut endpoint = Map::new();
    endpoint.insert("uid".to_owned(), json!(row.gateway));
    if let Some(place) = &row.gateway_place {
        endpoint.insert("location".to_owned(), location(place));
    }
    Value::Object(endpoint)
}

fn resources(row: &EventRecord) -> Vec<Value> {
    let named = |kind: &str, name: &Option<String>| {
        name.as_ref().map(|name| json!({ "type": kind, "uid": name, "name": name }))
    };
    [
        named("bucket", &row.bucket),
        named("object", &row.key),
        named("data", &row.data),
        named("node", &row.node),
        named("operator", &row.operator),
        named("subject", &row.subject),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn residency(row: &EventRecord) -> Value {
    json!({
        "is_export": row.export,
        "phase": row.state.name(),
        "limbs": row.limbs,
        "origin_jurisdictions": row.from_places,
        "destination_jurisdictions": row.to_places,
        "shard_jurisdictions": row.node_places,
        "data_origin": row.origin,
        "subjects": row.subjects,
        "sensitive_subjects": row.sensitive_subjects,
        "important": row.important,
        "bytes_authorised": row.bytes_authorised,
        "bytes_sent": row.bytes_sent,
        "basis": { "rules": row.rules, "mechanisms": row.mechanisms, "approvals": row.approvals },
        "obligations": row.obligations,
        "packs": row.packs,
        "recipient": row.recipient,
        "requester_evidence_grade": row.requester_evidence,
        "nodes_evidence_grade": row.nodes_evidence,
        "warnings": row.warnings,
        "opened": row.opened,
        "integrity": { "log": row.log, "index": row.index, "leaf_hash": row.leaf_hash, "outcome_index": row.outcome_index },
    })
}
