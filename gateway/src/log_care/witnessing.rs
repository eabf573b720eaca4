//! Asking witnesses to cosign, and what their silence and their refusals mean.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domicile_compliance::audit::{AddCheckpoint, AuditLog, NoteSignature, ReadError, SignedCheckpoint, SignedNote};
use domicile_types::UnixMillis;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use crate::admin::with_causes;
use crate::config::Witness;
use crate::objects::Gateway;

/// How long one witness may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Where witnesses stand, by their names.
#[derive(Debug, Default)]
pub(crate) struct Witnesses(parking_lot::Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_name: BTreeMap<String, WitnessView>,
    since: Option<UnixMillis>,
    silence_told: bool,
}

/// Where one witness stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct WitnessView {
    /// Its name.
    pub name: String,
    /// Its key, as it was configured.
    pub key: String,
    /// How many entries the checkpoint has that it cosigned last.
    pub size: u64,
    /// When it did, by the gateway's clock, in milliseconds since 1970; zero: never since the gateway started.
    pub cosigned_millis: u64,
    /// The checkpoint with its cosignature.
    pub note: Option<String>,
    /// Why it did not cosign when it was asked last.
    pub fault: Option<String>,
    /// Whether what it has seen contradicts this log.
    pub conflict: bool,
}

/// Why a witness did not cosign.
#[derive(Debug)]
enum Failure {
    /// It did not answer, or not as one that it should be.
    Silent(String),
    /// What it has seen is not how this log began.
    Conflict(String),
}

/// What a round found that must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Alarm {
    Conflict,
    Silent,
}

impl Alarm {
    /// The incident's name.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Conflict => "witness-conflict",
            Self::Silent => "witnesses-silent",
        }
    }
}

impl Witnesses {
    /// All that were asked.
    pub(crate) fn views(&self) -> Vec<WitnessView> {
        self.0.lock().by_name.values().cloned().collect()
    }

    /// What they cosigned, with their keys: for bundles.
    pub(crate) fn cosigned(&self) -> Vec<(String, String)> {
        let views = self.views().into_iter();
        views.filter_map(|view| Some((view.key, view.note?))).collect()
    }

    /// How far a witness is known to have seen the log.
    fn seen(&self, witness: &Witness) -> u64 {
        self.0.lock().by_name.get(witness.key.name().as_str()).map_or(0, |view| view.size)
    }

    /// Takes note of an answer; a conflict is told once until the witness cosigns again.
    fn answered(
        &self,
        witness: &Witness,
        answer: Result<(SignedNote, u64), Failure>,
        now: UnixMillis,
    ) -> Option<Alarm> {
        let mut known = self.0.lock();
        let name = witness.key.name().to_string();
        let view = known.by_name.entry(name.clone()).or_default();
        (view.name, view.key) = (name, witness.key.to_string());
        match answer {
            Ok((note, size)) => {
                (view.note, view.size, view.cosigned_millis) = (Some(note.to_string()), size, now.0);
                (view.fault, view.conflict) = (None, false);
                None
            }
            Err(Failure::Silent(fault)) => {
                view.fault = Some(fault);
                None
            }
            Err(Failure::Conflict(fault)) => {
                view.fault = Some(fault);
                (!std::mem::replace(&mut view.conflict, true)).then_some(Alarm::Conflict)
            }
        }
    }

    /// Whether no witness cosigned for too long; told once until one does.
    fn silence(&self, silence_millis_max: u64, now: UnixMillis) -> Option<Alarm> {
        let mut known = self.0.lock();
        let since = *known.since.get_or_insert(now);
        let last = known.by_name.values().map(|view| view.cosigned_millis).max().unwrap_or(0).max(since.0);
        let is_silent = now.millis_since(UnixMillis(last)) > silence_millis_max;
        let is_new = is_silent && !known.silence_told;
        known.silence_told = is_silent;
        is_new.then_some(Alarm::Silent)
    }
}

/// Asks every witness once. What must be told is returned, for the caller to log.
pub(super) async fn round(gateway: &Gateway, http: &reqwest::Client) -> Vec<Alarm> {
    let asked = gateway.config.witnesses.iter().map(|witness| async move {
        let answer = ask(&gateway.log, http, witness, gateway.witnesses.seen(witness)).await;
        if let Err(Failure::Silent(fault) | Failure::Conflict(fault)) = &answer {
            tracing::warn!(witness = %witness.key.name(), fault, "a witness did not cosign");
        }
        gateway.witnesses.answered(witness, answer, gateway.clock.now())
    });
    let mut alarms: Vec<Alarm> = futures::future::join_all(asked).await.into_iter().flatten().collect();
    if !gateway.config.witnesses.is_empty() {
        let silence = gateway.config.witnessing.silence_seconds_max.saturating_mul(1000);
        alarms.extend(gateway.witnesses.silence(silence, gateway.clock.now()));
    }
    alarms
}

/// Shows a witness the newest checkpoint, from where it says that it has seen the log; at first, from `old_size` on.
async fn ask(
    log: &Arc<AuditLog>,
    http: &reqwest::Client,
    witness: &Witness,
    mut old_size: u64,
) -> Result<(SignedNote, u64), Failure> {
    let mut was_told = false;
    loop {
        let log = Arc::clone(log);
        let proved = tokio::task::spawn_blocking(move || log.prove_consistency(old_size)).await;
        let (proof, checkpoint) = match proved {
            Ok(Ok(proved)) => proved,
            Ok(Err(ReadError::Beyond { index, size })) => {
                let rolled = format!("it has seen {index} entries, and this log has {size}: the log was rolled back");
                return Err(Failure::Conflict(rolled));
            }
            Ok(Err(error)) => return Err(Failure::Silent(with_causes(&error))),
            Err(_) => return Err(Failure::Silent("the gateway is shutting down".to_owned())),
        };
        let shown = AddCheckpoint { old_size, proof, checkpoint: SignedCheckpoint::clone(&checkpoint) };
        let (status, answer) = post(http, witness, shown.to_string()).await.map_err(Failure::Silent)?;
        match status {
            StatusCode::OK => return cosigned(witness, &checkpoint, &answer),
            StatusCode::CONFLICT => {
                let seen = answer.trim_end().parse::<u64>();
                let seen =
                    seen.map_err(|_| Failure::Silent("it refused, and did not say what it has seen".to_owned()))?;
                if was_told && seen == old_size {
                    let fork = format!("it has seen another history of {seen} entries: the log was forked");
                    return Err(Failure::Conflict(fork));
                }
                // It may move on between two requests; more than once is no witness.
                if was_told {
                    return Err(Failure::Silent(format!("it says now {old_size}, now {seen}")));
                }
                (old_size, was_told) = (seen, true);
            }
            StatusCode::UNPROCESSABLE_ENTITY => {
                let fork = format!("the {old_size} entries that it has seen are not how this log begins");
                return Err(Failure::Conflict(fork));
            }
            status => return Err(Failure::Silent(format!("it answered {status}: {}", answer.trim_end()))),
        }
    }
}

async fn post(http: &reqwest::Client, witness: &Witness, body: String) -> Result<(StatusCode, String), String> {
    let url = witness.url.join("add-checkpoint").map_err(|error| error.to_string())?;
    let exchange = async {
        let mut response = http.post(url).body(body).send().await.map_err(|error| with_causes(&error))?;
        let status = response.status();
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| with_causes(&error))? {
            answer.extend_from_slice(&piece);
            if answer.len() > ANSWER_BYTES_MAX {
                return Err("its answer has no end".to_owned());
            }
        }
        Ok((status, String::from_utf8_lossy(&answer).into_owned()))
    };
    tokio::time::timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Err("it does not answer".to_owned()))
}

/// The checkpoint with the witness's line, which must be by its key.
fn cosigned(witness: &Witness, checkpoint: &SignedCheckpoint, answer: &str) -> Result<(SignedNote, u64), Failure> {
    let own = answer.lines().filter_map(|line| NoteSignature::parse(line).ok());
    let own = own.filter(|line| line.name == *witness.key.name()).last();
    let line = own.ok_or_else(|| Failure::Silent("its answer holds no signature of it".to_owned()))?;
    let note = checkpoint.note().clone().with(line);
    match witness.key.verify(&note) {
        Ok(_) => Ok((note, checkpoint.size())),
        Err(error) => Err(Failure::Silent(format!("its answer is not to be believed: {error}"))),
    }
}

#[cfg(test)]
#[path = "witnessing_tests.rs"]
mod sockets;

#[cfg(test)]
mod tests {
    use domicile_compliance::audit::{Cosigner, KeyName};
    use domicile_types::IdentityKey;

    use super::*;

    fn witness() -> Witness {
        let name = KeyName::parse("w").unwrap();
        let key = Cosigner::from_identity(name, &IdentityKey::from_seed(&[1; 32])).key().clone();
        Witness { url: "http://127.0.0.1:1/".parse().unwrap(), key }
    }

    #[test]
    fn silence_and_conflicts_are_told_once_until_they_end() {
        let (witnesses, witness) = (Witnesses::default(), witness());
        let silent = || Err(Failure::Silent("refused".to_owned()));
        assert_eq!(witnesses.silence(1000, UnixMillis(10_000)), None);
        assert_eq!(witnesses.answered(&witness, silent(), UnixMillis(10_500)), None);
        assert_eq!(witnesses.silence(1000, UnixMillis(11_000)), None);
        assert_eq!(witnesses.silence(1000, UnixMillis(11_001)), Some(Alarm::Silent));
        assert_eq!(witnesses.silence(1000, UnixMillis(12_000)), None);
        let conflict = || Err(Failure::Conflict("forked".to_owned()));
        assert_eq!(witnesses.answered(&witness, conflict(), UnixMillis(12_000)), Some(Alarm::Conflict));
        assert_eq!(witnesses.answered(&witness, conflict(), UnixMillis(13_000)), None);
        assert!(witnesses.views()[0].conflict && witnesses.cosigned().is_empty());
        let note = SignedNote::parse("w\n1\nAAAA\n\n\u{2014} w AAAAAAAA\n").unwrap();
        assert_eq!(witnesses.answered(&witness, Ok((note, 1)), UnixMillis(14_000)), None);
        assert_eq!((witnesses.silence(1000, UnixMillis(14_500)), witnesses.seen(&witness)), (None, 1));
        assert_eq!(witnesses.silence(1000, UnixMillis(15_500)), Some(Alarm::Silent));
        assert_eq!(witnesses.answered(&witness, conflict(), UnixMillis(16_000)), Some(Alarm::Conflict));
    }
}
