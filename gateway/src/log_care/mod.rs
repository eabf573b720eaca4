//! Care of the log while the gateway runs: witnesses are asked, and its room is watched. What is wrong is an incident, once.

mod capacity;
mod witnessing;

use std::time::Duration;

use domicile_types::RequestId;
use serde::{Deserialize, Serialize};

use capacity::Capacity;
pub(crate) use witnessing::{WitnessView, Witnesses};

use crate::objects::Gateway;

/// How often the room is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How the log stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct LogState {
    /// Entries.
    pub entries: u64,
    /// Bytes that the write-ahead log takes.
    pub bytes: u64,
    /// Bytes that it may take. When they are used up, the gateway refuses to serve: nothing may happen unseen.
    pub bytes_max: u64,
    /// Who cosigns it.
    pub witnesses: Vec<WitnessView>,
}

impl Gateway {
    /// How the log stands.
    pub(crate) fn log_state(&self) -> LogState {
        let (bytes, bytes_max) = self.log.space();
        LogState { entries: self.log.len(), bytes, bytes_max, witnesses: self.witnesses.views() }
    }
}

impl LogState {
    /// In the text format of Prometheus.
    pub(crate) fn metrics(&self) -> String {
        let Self { entries, bytes, bytes_max, witnesses } = self;
        let mut text = String::new();
        let plain = [
            ("domicile_log_entries", "Entries of the audit log", entries),
            ("domicile_log_bytes", "Bytes that the audit log takes", bytes),
            ("domicile_log_bytes_max", "Bytes that the audit log may take", bytes_max),
        ];
        for (name, help, value) in plain {
            text.push_str(&format!("# HELP {name} {help}.\n# TYPE {name} gauge\n{name} {value}\n"));
        }
        let each: [(&str, &str, fn(&WitnessView) -> u64); 3] = [
            ("domicile_witness_size", "Entries of the checkpoint that a witness cosigned last", |view| view.size),
            ("domicile_witness_cosigned_seconds", "When it did, since 1970", |view| view.cosigned_millis / 1000),
            ("domicile_witness_conflict", "1 where it contradicts the log", |view| u64::from(view.conflict)),
        ];
        for (name, help, value) in each {
            text.push_str(&format!("# HELP {name} {help}.\n# TYPE {name} gauge\n"));
            for view in witnesses {
                // A key's name has no spaces, but may have what ends a label.
                let label = view.name.replace('\\', "\\\\").replace('"', "\\\"");
                text.push_str(&format!("{name}{{witness=\"{label}\"}} {}\n", value(view)));
            }
        }
        text
    }
}

/// Asks the witnesses until it is aborted.
pub(crate) async fn run_witnesses(gateway: Gateway) {
    if gateway.config.witnesses.is_empty() {
        return;
    }
    let http = match crate::cli::http_client() {
        Ok(http) => http,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "no witness can be asked");
            incident(&gateway, "witnesses-silent");
            return;
        }
    };
    loop {
        for alarm in witnessing::round(&gateway, &http).await {
            incident(&gateway, alarm.name());
        }
        tokio::time::sleep(Duration::from_secs(gateway.config.witnessing.interval_seconds)).await;
    }
}

/// Watches the log's room until it is aborted.
pub(crate) async fn run_capacity(gateway: Gateway) {
    let mut capacity = Capacity::default();
    loop {
        let (bytes, bytes_max) = gateway.log.space();
        if let Some(what) = capacity.look(bytes, bytes_max) {
            tracing::warn!(bytes, bytes_max, what, "the audit log");
            incident(&gateway, what);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// On its way when this returns: it is told whether or not anybody waits.
fn incident(gateway: &Gateway, what: &str) {
    let request = RequestId::from_bytes(gateway.clock.random());
    drop(gateway.log.incident(request, what, None, None));
}
