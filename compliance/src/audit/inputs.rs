//! The inputs of decisions, by their hash: so that a decision can be shown, and decided again.
//!
//! A question names some dozens of subjects, and the same ones again and again. So it is kept in parts, each by its
//! BLAKE3: every ask, every run of asks of one class, and the question without its asks but with the hashes of the runs.
//! A further request about the same nodes adds some hundred bytes. What is read is put together again and must hash to
//! the name it was asked by.

use std::path::Path;
use std::sync::Arc;

use super::values::{SharedValues, Stored, ValueKey, Values, ValuesError};
use crate::decide::{Ask, Question};

/// The store of questions.
pub struct InputStore {
    values: SharedValues,
}

/// Why the inputs of a decision cannot be kept or shown.
#[derive(Debug, thiserror::Error)]
pub enum InputsError {
    /// The file.
    #[error("the store of decision inputs cannot be used")]
    Values(#[from] ValuesError),
    /// Not the name of a question.
    #[error("{name:?} is not the BLAKE3 of a decision's inputs: 64 hexadecimal digits")]
    Name {
        /// What was asked for.
        name: String,
    },
    /// A part is missing or not what it should be.
    #[error("the inputs {name} are damaged: put together, they do not hash to their name")]
    Damaged {
        /// What was asked for.
        name: String,
    },
}

/// Tells the parts of a question apart from questions: a part is not a question that can be asked for.
const PART: &str = "domicile/inputs/1/part";
/// Runs of asks that a question may have.
const RUNS_MAX: usize = 1024;

impl InputStore {
    pub(super) fn open(path: &Path) -> Result<Self, InputsError> {
        Ok(Self { values: Arc::new(Values::open(path)?) })
    }

    pub(super) fn values(&self) -> SharedValues {
        Arc::clone(&self.values)
    }

    /// Keeps a question; its name is the decision's `inputs`. Durable when the entry that is appended after it is.
    pub fn put(&self, question: &Question) -> Result<String, InputsError> {
        let name = question.hash();
        let key = key_of(&name)?;
        let mut head = Vec::new();
        for run in question.asks.chunk_by(|one, next| one.class == next.class) {
            let mut asks = Vec::with_capacity(run.len() * 32);
            for ask in run {
                asks.extend_from_slice(&self.put_part(&to_json(ask))?);
            }
            head.extend_from_slice(&self.put_part(&asks)?);
        }
        let runs = u32::try_from(head.len() / 32).unwrap_or(u32::MAX);
        let rest = Question { asks: Vec::new(), ..question.clone() };
        let value = [&runs.to_le_bytes()[..], &head, &to_json(&rest)].concat();
        self.values.put(&key, &value)?;
        Ok(name)
    }

    /// The question by its name; nothing where it was not kept.
    pub fn get(&self, name: &str) -> Result<Option<Question>, InputsError> {
        let key = key_of(name)?;
        let Stored::Live(value) = self.values.get(&key)? else { return Ok(None) };
        let damaged = || InputsError::Damaged { name: name.to_owned() };
        let question = self.assemble(&value)?.ok_or_else(damaged)?;
        if question.hash() == name { Ok(Some(question)) } else { Err(damaged()) }
    }

    /// The question without its asks, and the names of the runs that hold them: what an index reads of each of many questions.
    /// It is not held against its name; [`InputStore::get`] is.
    pub fn outline(&self, name: &str) -> Result<Option<(Question, Vec<[u8; 32]>)>, InputsError> {
        let key = key_of(name)?;
        let Stored::Live(value) = self.values.get(&key)? else { return Ok(None) };
        let outline = value.split_first_chunk::<4>().and_then(|(runs, rest)| {
            let runs = usize::try_from(u32::from_le_bytes(*runs)).ok().filter(|runs| *runs <= RUNS_MAX)?;
            let (head, json) = rest.split_at_checked(runs * 32)?;
            Some((serde_json::from_slice::<Question>(json).ok()?, head.as_chunks::<32>().0.to_vec()))
        });
        outline.map(Some).ok_or_else(|| InputsError::Damaged { name: name.to_owned() })
    }

    /// The asks of a run that [`InputStore::outline`] named. Questions about the same nodes share their runs.
    pub fn run(&self, run: &[u8; 32]) -> Result<Vec<Ask>, InputsError> {
        let damaged = || InputsError::Damaged { name: blake3::Hash::from_bytes(*run).to_hex().to_string() };
        let Stored::Live(asks) = self.values.get(run)? else { return Err(damaged()) };
        let read = |ask: &[u8; 32]| match self.values.get(ask)? {
            Stored::Live(json) => serde_json::from_slice::<Ask>(&json).map_err(|_| damaged()),
            Stored::Erased | Stored::Absent => Err(damaged()),
        };
        asks.as_chunks::<32>().0.iter().map(read).collect()
    }

    fn assemble(&self, value: &[u8]) -> Result<Option<Question>, InputsError> {
        let parts = value.split_first_chunk::<4>().and_then(|(runs, rest)| {
            let runs = usize::try_from(u32::from_le_bytes(*runs)).ok().filter(|runs| *runs <= RUNS_MAX)?;
            let (head, json) = rest.split_at_checked(runs * 32)?;
            Some((head, serde_json::from_slice::<Question>(json).ok()?))
        });
        let Some((head, mut question)) = parts else { return Ok(None) };
        for run in head.as_chunks::<32>().0 {
            let Stored::Live(asks) = self.values.get(run)? else { return Ok(None) };
            for ask in asks.as_chunks::<32>().0 {
                let Stored::Live(json) = self.values.get(ask)? else { return Ok(None) };
                let Ok(ask) = serde_json::from_slice::<Ask>(&json) else { return Ok(None) };
                question.asks.push(ask);
            }
        }
        Ok(Some(question))
    }

    fn put_part(&self, bytes: &[u8]) -> Result<ValueKey, InputsError> {
        let key = *blake3::Hasher::new_derive_key(PART).update(bytes).finalize().as_bytes();
        self.values.put(&key, bytes)?;
        Ok(key)
    }
}

impl std::fmt::Debug for InputStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InputStore")
    }
}

fn key_of(name: &str) -> Result<ValueKey, InputsError> {
    let hash = blake3::Hash::from_hex(name).map_err(|_| InputsError::Name { name: name.chars().take(80).collect() })?;
    Ok(*hash.as_bytes())
}

fn to_json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| unreachable!("questions are plain data: {error}"))
}

#[cfg(test)]
mod tests {
    use domicile_types::{
        Action, Classification, EvidenceGrade, IdentityKey, OperationKind, PackId, Place, Subject, SubjectFacts,
        UnixMillis,
    };

    use super::*;
    use crate::decide::AskClass;

    fn question(now: u64, nodes: u8) -> Question {
        let facts = |subject| SubjectFacts {
            subject,
            places: vec![Place::parse("CN").unwrap()],
            evidence: EvidenceGrade::Declared,
            party: None,
        };
        let ask = |action, subject, class| Ask { action, facts: facts(subject), class };
        let node = |n| Subject::Node(IdentityKey::from_seed(&[n; 32]).id());
        let mut asks = vec![
            ask(Action::Process, Subject::Gateway(IdentityKey::from_seed(&[99; 32]).id()), AskClass::Required),
            ask(Action::Retrieve, Subject::Requester, AskClass::Required),
        ];
        asks.extend((0..nodes).map(|n| ask(Action::Relay, node(n), AskClass::Candidate)));
        Question {
            operation: OperationKind::GetObject,
            packs: vec![PackId::parse("cn-data-export").unwrap()],
            classification: Classification::default(),
            asks,
            now: UnixMillis(now),
            located_warnings: Vec::new(),
            approvals: Vec::new(),
            totals: Vec::new(),
        }
    }

    #[test]
    fn a_question_comes_back_as_it_was_and_hashes_to_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let inputs = InputStore::open(&dir.path().join("values")).unwrap();
        let asked = question(1, 20);
        let name = inputs.put(&asked).unwrap();
        assert_eq!(name, asked.hash());
        let (outline, runs) = inputs.outline(&name).unwrap().unwrap();
        let asks: Vec<Ask> = runs.iter().flat_map(|run| inputs.run(run).unwrap()).collect();
        assert_eq!(Question { asks, ..outline }, asked);
        assert_eq!(inputs.get(&name).unwrap(), Some(asked));
        assert_eq!(inputs.get(&"0".repeat(64)).unwrap(), None);
        assert!(matches!(inputs.get("no hash"), Err(InputsError::Name { .. })));
    }

    #[test]
    fn a_further_question_about_the_same_nodes_adds_less_than_a_kilobyte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("values");
        let inputs = InputStore::open(&path).unwrap();
        let used = || {
            let bytes = std::fs::read(&path).unwrap();
            bytes.iter().rposition(|byte| *byte != 0).unwrap()
        };
        inputs.put(&question(1, 40)).unwrap();
        let before = used();
        inputs.put(&question(2, 40)).unwrap();
        assert!(used() - before < 1024, "{} bytes", used() - before);
        assert!(before > 8000);
    }
}
