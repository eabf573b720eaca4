//! SIEMs: where the gateway tells of exports and incidents by itself. Only an operator declares them.

use std::path::{Path, PathBuf};

use domicile_types::Place;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::webhook::{RawWebhook, Webhook, parse_all as parse_webhooks};

/// What a SIEM is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// Export events, attempts included, and how they ended.
    Exports,
    /// What must be looked at.
    Incidents,
}

/// A SIEM.
#[derive(Debug, Clone)]
pub struct Siem {
    /// Where and how it is reached, and where it is.
    pub webhook: Webhook,
    /// What it is told of.
    pub told: Vec<Told>,
}

/// `[[siem]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSiem {
    /// Name.
    pub name: String,
    /// `https`; `http` only with `allow_private`.
    pub url: String,
    /// `whsec_` and 24 to 64 bytes in base64.
    pub secret: String,
    /// Where it is: what it is told counts as told there.
    pub place: Place,
    /// What it is told of; unset: exports and incidents.
    #[serde(default = "everything")]
    pub told: Vec<Told>,
    /// Whether its address may be private, link-local or loopback.
    #[serde(default)]
    pub allow_private: bool,
    /// PEM certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

fn everything() -> Vec<Told> {
    vec![Told::Exports, Told::Incidents]
}

/// Checks all of them.
pub(super) fn parse_all(raw: Vec<RawSiem>, folder: &Path) -> Result<Vec<Siem>, ConfigError> {
    let told: Vec<Vec<Told>> = raw.iter().map(|siem| siem.told.clone()).collect();
    if let Some(silent) = raw.iter().find(|siem| siem.told.is_empty()) {
        return Err(ConfigError::Contradiction(format!("siem {:?} is told of nothing: leave it out", silent.name)));
    }
    let webhooks = raw.into_iter().map(|siem| RawWebhook {
        name: siem.name,
        url: siem.url,
        secret: siem.secret,
        place: siem.place,
        tenants: Vec::new(),
        allow_private: siem.allow_private,
        ca_file: siem.ca_file,
    });
    let parsed = parse_webhooks(webhooks.collect(), folder)?;
    Ok(parsed.into_iter().zip(told).map(|(webhook, told)| Siem { webhook, told }).collect())
}
