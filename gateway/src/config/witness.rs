//! Witnesses of this gateway's log: whom it asks to cosign, and how long their silence is borne.

use domicile_compliance::audit::WitnessKey;
use serde::{Deserialize, Serialize};
use url::Url;

use super::ConfigError;

/// A witness.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Where it listens: requests go to `add-checkpoint` below it.
    pub url: Url,
    /// What it cosigns with. Known from the witness's owner, not from the witness.
    pub key: WitnessKey,
}

/// `[[witness]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawWitness {
    /// `http`: what is exchanged is signed by both sides, and holds nothing secret.
    pub url: String,
    /// As `domicile witness` prints it.
    pub key: String,
}

/// `[witnessing]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WitnessSettings {
    /// How often every witness is asked.
    pub interval_seconds: u64,
    /// After how long without a cosignature of any an incident is logged.
    pub silence_seconds_max: u64,
}

impl Default for WitnessSettings {
    /// Every minute; a quarter of an hour.
    fn default() -> Self {
        Self { interval_seconds: 60, silence_seconds_max: 900 }
    }
}

/// Checks all of them.
pub(super) fn parse_all(raw: Vec<RawWitness>, settings: WitnessSettings) -> Result<Vec<Witness>, ConfigError> {
    let refused = |why: String| Err(ConfigError::Contradiction(why));
    if settings.interval_seconds == 0 || settings.silence_seconds_max < settings.interval_seconds {
        return refused("witnessing: interval_seconds is at least 1, silence_seconds_max at least as long".to_owned());
    }
    let mut witnesses: Vec<Witness> = Vec::with_capacity(raw.len());
    for RawWitness { url, key } in raw {
        let Ok(parsed) = Url::parse(&format!("{}/", url.trim_end_matches('/'))) else {
            return refused(format!("witness {url:?} is not a URL"));
        };
        if parsed.scheme() != "http" {
            return refused(format!(
                "witness {url:?}: the url is http; put a proxy in front of the witness for others"
            ));
        }
        let Ok(key) = WitnessKey::parse(&key) else {
            return refused(format!("witness {url:?}: the key is not one that `domicile witness` prints"));
        };
        if witnesses.iter().any(|known| known.key.name() == key.name()) {
            return refused(format!("witness {} is declared twice", key.name()));
        }
        witnesses.push(Witness { url: parsed, key });
    }
    Ok(witnesses)
}

#[cfg(test)]
mod tests {
    use domicile_compliance::audit::{Cosigner, KeyName};
    use domicile_types::IdentityKey;

    use super::*;

    #[test]
    fn a_witness_has_an_http_url_and_a_key_of_its_own() {
        let cosigner = |name| Cosigner::from_identity(KeyName::parse(name).unwrap(), &IdentityKey::from_seed(&[1; 32]));
        let raw = |url: &str, name| RawWitness { url: url.to_owned(), key: cosigner(name).key().to_string() };
        let settings = WitnessSettings::default();
        let parsed = parse_all(vec![raw("http://127.0.0.1:7000", "a"), raw("http://127.0.0.1:7001/w", "b")], settings);
        let urls = parsed
            .unwrap()
            .iter()
            .map(|witness| witness.url.join("add-checkpoint").unwrap().to_string())
            .collect::<Vec<_>>();
        assert_eq!(urls, ["http://127.0.0.1:7000/add-checkpoint", "http://127.0.0.1:7001/w/add-checkpoint"]);
        assert!(parse_all(vec![raw("https://w.example", "a")], settings).is_err());
        assert!(parse_all(vec![raw("http://w.example", "a"), raw("http://v.example", "a")], settings).is_err());
        let key = "no key".to_owned();
        assert!(parse_all(vec![RawWitness { url: "http://w.example".to_owned(), key }], settings).is_err());
        assert!(parse_all(Vec::new(), WitnessSettings { interval_seconds: 0, ..settings }).is_err());
    }
}
