//! Tells SIEMs of export events and incidents, as CloudEvents 1.0 in structured mode, in the order of the log.
//!
//! A SIEM's worker reads the log from where it stands, and goes on only when an event has arrived or may not be told: nothing
//! is lost while the SIEM is away, and what came just before a crash may come twice, under the same id. What commitments hide
//! is told as pseudonyms. Every telling is decided by the packs of what it is about, as told to somebody in the SIEM's place,
//! and logged; what is logged of that is itself not told.

use std::time::Duration;

use domicile_compliance::audit::{Opening, StoredEntry};
use domicile_types::{Classification, DataClass, Entry, OperationKind, PackId, Place, RequestId, TenantId};
use serde_json::json;

use super::sender::Sender;
use super::worker::places_of;
use crate::admin::with_causes;
use crate::config::{Siem, Told};
use crate::objects::{Error, Gateway, Matter};
use crate::registers::{EventRecord, RegisterError, Sight};

/// Whose workers these are, in the log.
const TENANT: &str = "domicile";
/// How often the log is looked at for more.
const PAUSE: Duration = Duration::from_millis(500);
/// The pause after a telling that failed; each is twice the one before it, up to ten minutes.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// Entries that are looked at before it is noted how far.
const ENTRIES_AT_ONCE: u64 = 500;
/// The media type of a CloudEvent in structured mode.
const MEDIA_TYPE: &str = "application/cloudevents+json";

/// Why a SIEM was not told.
#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error("the registers do not answer")]
    Register(#[from] RegisterError),
    #[error("it cannot be decided or logged")]
    Law(#[from] Error),
    #[error("the SIEM does not take it")]
    Send(#[from] super::sender::SendError),
    #[error("the gateway stops")]
    Stopping,
}

/// Runs the workers of all SIEMs until it is aborted.
pub(crate) async fn run_siems(gateway: Gateway) {
    let siems = gateway.config.siems.clone();
    futures::future::join_all(siems.into_iter().map(|siem| work(gateway.clone(), siem))).await;
}

async fn work(gateway: Gateway, siem: Siem) {
    let name = siem.webhook.name.clone();
    let sender = match Sender::new(&siem.webhook) {
        Ok(sender) => sender,
        Err(error) => {
            return tracing::error!(siem = name, error = format!("{error:#}"), "a SIEM cannot be told anything");
        }
    };
    let mut pause = FIRST_PAUSE;
    loop {
        match round(&gateway, &siem, &sender).await {
            Ok(true) => pause = FIRST_PAUSE,
            Ok(false) => {
                pause = FIRST_PAUSE;
                tokio::time::sleep(PAUSE).await;
            }
            Err(TellError::Stopping) => return,
            Err(error) => {
                tracing::warn!(
                    siem = name,
                    error = with_causes(&error),
                    pause_seconds = pause.as_secs(),
                    "a SIEM waits"
                );
                tokio::time::sleep(pause).await;
                pause = PAUSE_MAX.min(pause.saturating_mul(2));
            }
        }
    }
}

/// Tells of some entries. Whether there may be more.
async fn round(gateway: &Gateway, siem: &Siem, sender: &Sender) -> Result<bool, TellError> {
    let (from, events) = {
        let (gateway, siem) = (gateway.clone(), siem.clone());
        let look = tokio::task::spawn_blocking(move || look(&gateway, &siem));
        look.await.map_err(|_| TellError::Stopping)??
    };
    let Some(upto) = from else { return Ok(false) };
    for (index, kind, record) in events {
        tell(gateway, siem, sender, kind, &record).await?;
        gateway.registers.note_told(&siem.webhook.name, index.saturating_add(1))?;
    }
    gateway.registers.note_told(&siem.webhook.name, upto)?;
    Ok(true)
}

type Looked = (Option<u64>, Vec<(u64, &'static str, EventRecord)>);

/// What is to be told of the next entries, and up to which these are; nothing where there are none. A SIEM that is new is told
/// from now on.
fn look(gateway: &Gateway, siem: &Siem) -> Result<Looked, RegisterError> {
    let name = &siem.webhook.name;
    let size = gateway.log.len();
    let Some(from) = gateway.registers.told(name)? else {
        gateway.registers.note_told(name, size)?;
        return Ok((None, Vec::new()));
    };
    let end = size.min(from.saturating_add(ENTRIES_AT_ONCE));
    if from >= end {
        return Ok((None, Vec::new()));
    }
    let (mut wanted, mut fault) = (Vec::new(), None);
    gateway.log.entries(from..end, |stored| match concerns(gateway, siem, &stored) {
        Ok(about) => {
            wanted.extend(about.map(|(about, kind)| (stored.index, about, kind)));
            true
        }
        Err(error) => {
            fault = Some(error);
            false
        }
    })?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    let mut events = Vec::new();
    for (index, about, kind) in wanted {
        let record = gateway.registers.record(about, Sight::Pseudonyms)?;
        // The outcome of what is no export is told to nobody.
        let record = record.filter(|record| kind != ENDED || (record.export && !is_a_telling(gateway, about)));
        events.extend(record.map(|record| (index, kind, record)));
    }
    Ok((Some(end), events))
}

const ATTEMPTED: &str = "domicile.export.attempted";
const AUTHORISED: &str = "domicile.export.authorised";
const ENDED: &str = "domicile.export.ended";
const INCIDENT: &str = "domicile.incident";

/// Which entry an event is about, and of what type it is; nothing where the SIEM is not told of it.
fn concerns(
    gateway: &Gateway,
    siem: &Siem,
    stored: &StoredEntry,
) -> Result<Option<(u64, &'static str)>, RegisterError> {
    let (exports, incidents) = (siem.told.contains(&Told::Exports), siem.told.contains(&Told::Incidents));
    Ok(match stored.record()?.entry {
        Entry::Intent(intent) if exports && intent.decision.export && !by_siem(gateway, &intent.actor) => {
            Some((stored.index, AUTHORISED))
        }
        Entry::Denied(intent) if exports && intent.decision.export && !by_siem(gateway, &intent.actor) => {
            Some((stored.index, ATTEMPTED))
        }
        Entry::Outcome(outcome) if exports => Some((outcome.intent, ENDED)),
        Entry::Incident { .. } if incidents => Some((stored.index, INCIDENT)),
        _ => None,
    })
}

/// Whether an intent is a telling itself: that is told to nobody, or it would never come to an end.
fn is_a_telling(gateway: &Gateway, index: u64) -> bool {
    let record = gateway.log.read(index);
    record.is_ok_and(|record| matches!(&record.entry, Entry::Intent(intent) if by_siem(gateway, &intent.actor)))
}

fn by_siem(gateway: &Gateway, actor: &domicile_types::Commitment) -> bool {
    let opening = gateway.log.side().open_commitment(actor);
    matches!(opening, Ok(Opening::Value { value, .. }) if value.starts_with(format!("{TENANT}/siem/").as_bytes()))
}

async fn tell(
    gateway: &Gateway,
    siem: &Siem,
    sender: &Sender,
    kind: &'static str,
    record: &EventRecord,
) -> Result<(), TellError> {
    let addresses = sender.locate().await?;
    let region = gateway.config.region(&gateway.config.default_region);
    let stated = packs_of(record);
    // What is about no bucket is the gateway's own, and under its own region's packs.
    let (packs, operation) = match stated.is_empty() {
        true => (region.map(|region| region.packs.clone()).unwrap_or_default(), OperationKind::Administer),
        false => (stated, OperationKind::HeadObject),
    };
    let classification = classification_of(record);
    let matter = Matter {
        operation,
        packs: &packs,
        classification: &classification,
        bucket: None,
        key: None,
        nodes: Vec::new(),
    };
    let places = places_of(gateway, siem.webhook.place, &addresses);
    let request = RequestId::from_bytes(gateway.clock.random());
    let worker = format!("siem/{}", siem.webhook.name);
    let tenant = TenantId::parse(TENANT).map_err(|_| TellError::Stopping)?;
    let intent = match gateway.authorize_elsewhere(&tenant, &worker, request, &matter, places).await {
        Ok(intent) => intent,
        Err(Error::Denied(denial)) => {
            tracing::warn!(
                siem = siem.webhook.name,
                about = record.index,
                log_index = denial.log_index,
                "an event may not be told to a SIEM where it is"
            );
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let event = cloud_event(kind, record);
    let id = blake3::hash(format!("{kind} {}#{}", record.log, record.index).as_bytes());
    let id = id.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
    let sent = sender.send_as(MEDIA_TYPE, &id, &event.to_string(), gateway.clock.now()).await;
    crate::objects::settle(intent, sent.is_ok());
    Ok(sent?)
}

/// A CloudEvent (version 1.0) about a record.
fn cloud_event(kind: &'static str, record: &EventRecord) -> serde_json::Value {
    let time = if kind == ENDED { record.ended.unwrap_or(record.time) } else { record.time };
    json!({
        "specversion": "1.0",
        "id": format!("{}#{}", record.index, kind),
        "source": record.log,
        "type": kind,
        "subject": record.index.to_string(),
        "time": time.to_string(),
        "datacontenttype": "application/json",
        "data": record,
    })
}

fn packs_of(record: &EventRecord) -> Vec<PackId> {
    record.packs.iter().filter_map(|pack| PackId::parse(pack.split('@').next()?).ok()).collect()
}

fn classification_of(record: &EventRecord) -> Classification {
    Classification {
        classes: record.classes.iter().filter_map(|class| DataClass::parse(class).ok()).collect(),
        origin: record.origin.as_ref().and_then(|origin| Place::parse(origin).ok()),
        subjects: record.subjects,
        sensitive_subjects: record.sensitive_subjects,
        important: record.important,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use data_encoding::BASE64;
    use domicile_types::{NodeId, RequestId};

    use super::super::tests::receiver;
    use super::*;
    use crate::testing;

    async fn gateway(folder: &Path, port: u16, place: &str) -> crate::open::Running {
        let secret = BASE64.encode(&[7; 32]);
        let siem = format!(
            r#"
            [[siem]]
            name = "soc"
            url = "http://127.0.0.1:{port}/"
            secret = "whsec_{secret}"
            place = "{place}"
            allow_private = true
            "#
        );
        testing::gateway(folder, &siem).await
    }

    async fn told(gateway: &Gateway) {
        while gateway.registers.told("soc").unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_incident_arrives_as_a_cloud_event_even_where_the_first_answer_is_a_refusal() {
        let folder = tempfile::tempdir().unwrap();
        let (port, mut bodies) = receiver(1).await;
        let running = gateway(folder.path(), port, "CN").await;
        let gateway = &running.gateway;
        told(gateway).await;
        let node = NodeId::from_public_key([3; 32]);
        let noted = gateway.log.incident(RequestId::from_bytes([1; 16]), "shard-corrupt", Some(node), None);
        let index = noted.await.unwrap().index;
        let (first, second) = (bodies.recv().await.unwrap(), bodies.recv().await.unwrap());
        assert_eq!(first, second);
        let event: serde_json::Value = serde_json::from_str(&second).unwrap();
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["type"], INCIDENT);
        assert_eq!(event["subject"], index.to_string());
        assert_eq!(event["source"], gateway.registers.origin());
        assert_eq!(event["data"]["operation"], "shard-corrupt");
        assert_eq!(event["data"]["node"], node.to_string());
        running.stop().await;
    }

    #[test]
    fn a_cloud_event_has_what_the_specification_demands() {
        let folder = tempfile::tempdir().unwrap();
        let record = crate::registers::example(folder.path());
        let event = cloud_event(ENDED, &record);
        for attribute in ["specversion", "id", "source", "type"] {
            assert!(event[attribute].as_str().is_some_and(|text| !text.is_empty()), "{attribute}");
        }
        assert_eq!(event["time"], record.ended.unwrap().to_string());
        assert_eq!(event["data"]["opened"], false);
    }
}
