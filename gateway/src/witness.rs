//! A witness of logs: a small process with a key and a memory of its own, run by somebody who need not trust the gateway.
//!
//! ```text
//! POST /add-checkpoint            c2sp.org/tlog-witness: a checkpoint and the proof that it grew from the one seen before
//! GET  /checkpoint?origin=O       the checkpoint that was cosigned last, with the cosignature
//! GET  /                          the witness's key
//!
//! <state>/witness.key             32 secret bytes
//! <state>/<SHA-256 of origin>.seen       the newest checkpoint of that log; written, and durable, before it is cosigned
//! <state>/<SHA-256 of origin>.fork       two signed checkpoints of one size with different roots: proof that the log lied
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use data_encoding::HEXLOWER;
use domicile_compliance::audit::{
    AddCheckpoint, Cosigner, KeyName, Refusal, SignedCheckpoint, VerifierKey, WitnessKey, judge_checkpoint,
};
use domicile_types::IdentityKey;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::keys;

/// The longest request.
const REQUEST_BYTES_MAX: usize = 128 << 10;
/// The media type of a size, by the specification.
const SIZE_TYPE: &str = "text/x.tlog.size";

/// A witness with what it has seen.
pub struct Witness {
    cosigner: Cosigner,
    state: PathBuf,
    /// By origin.
    logs: BTreeMap<String, WatchedLog>,
    clock: Clock,
}

struct WatchedLog {
    key: VerifierKey,
    /// Held from looking to writing: of two requests at once, one sees what the other wrote.
    seen: Mutex<Option<SignedCheckpoint>>,
}

/// What a witness answers.
#[derive(Debug)]
pub enum Answer {
    /// The signature line.
    Cosigned(String),
    /// It knows no such log.
    Unknown,
    /// Not a request.
    Malformed,
    /// It does not cosign.
    Refused(Refusal),
}

impl Witness {
    /// Opens the state in a folder, or makes it. What was seen before must be signed by the logs as they are known now.
    pub fn open(state: &Path, name: &str, logs: Vec<VerifierKey>, clock: Clock) -> anyhow::Result<Self> {
        fs::create_dir_all(state).with_context(|| format!("{} cannot be made", state.display()))?;
        let secret = keys::read_secret(&state.join("witness.key"), clock)?;
        let name = KeyName::parse(name).context("the witness's name")?;
        let cosigner = Cosigner::from_identity(name, &IdentityKey::from_seed(&secret));
        let mut watched = BTreeMap::new();
        for key in logs {
            let origin = key.name().to_string();
            let path = state.join(file_name(&origin, "seen"));
            let seen = match fs::read_to_string(&path) {
                Ok(text) => {
                    let seen = SignedCheckpoint::parse(&text).with_context(|| path.display().to_string())?;
                    seen.verify(&key).with_context(|| format!("{} is not of the log's key", path.display()))?;
                    Some(seen)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error).with_context(|| path.display().to_string()),
            };
            watched.insert(origin, WatchedLog { key, seen: Mutex::new(seen) });
        }
        Ok(Self { cosigner, state: state.to_owned(), logs: watched, clock })
    }

    /// What its cosignatures are checked with.
    #[must_use]
    pub const fn key(&self) -> &WitnessKey {
        self.cosigner.key()
    }

    /// Judges a request, writes down what it showed, and cosigns. Blocks on the disk.
    pub fn add_checkpoint(&self, body: &str) -> io::Result<Answer> {
        let Some(shown) = AddCheckpoint::parse(body) else { return Ok(Answer::Malformed) };
        let origin = shown.checkpoint.checkpoint().origin.to_string();
        let Some(log) = self.logs.get(&origin) else { return Ok(Answer::Unknown) };
        let mut seen = log.seen.lock();
        if let Err(refusal) = judge_checkpoint(seen.as_ref(), &log.key, &shown) {
            tracing::warn!(%origin, %refusal, shown = shown.checkpoint.size(), "not cosigned");
            if let (true, Some(seen)) = (refusal.is_fork(), seen.as_ref()) {
                let both = format!("{seen}\n{}", shown.checkpoint);
                write_durably(&self.state.join(file_name(&origin, "fork")), both.as_bytes())?;
            }
            return Ok(Answer::Refused(refusal));
        }
        // Only what the log itself signed is kept: lines of others could be anything.
        write_durably(&self.state.join(file_name(&origin, "seen")), shown.checkpoint.to_string().as_bytes())?;
        let line = self.cosigner.cosign(shown.checkpoint.note(), self.clock.now());
        *seen = Some(shown.checkpoint);
        Ok(Answer::Cosigned(format!("{line}\n")))
    }

    /// The newest checkpoint of a log that this witness has seen, cosigned now.
    fn newest(&self, origin: &str) -> Option<String> {
        let seen = self.logs.get(origin)?.seen.lock().clone()?;
        let line = self.cosigner.cosign(seen.note(), self.clock.now());
        Some(seen.note().clone().with(line).to_string())
    }
}

fn file_name(origin: &str, ending: &str) -> String {
    format!("{}.{ending}", HEXLOWER.encode(&Sha256::digest(origin.as_bytes())))
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Serves a witness on `address`; the port that it got.
pub fn serve(witness: Witness, address: SocketAddr) -> io::Result<(Server, SocketAddr)> {
    let witness = web::Data::new(witness);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(witness.clone())
            .app_data(web::PayloadConfig::new(REQUEST_BYTES_MAX))
            .route("/add-checkpoint", web::post().to(add))
            .route("/checkpoint", web::get().to(newest))
            .route("/", web::get().to(key))
    });
    let server = server.workers(1).disable_signals().bind(address)?;
    let bound = server.addrs().first().copied().unwrap_or(address);
    Ok((server.run(), bound))
}

async fn add(witness: web::Data<Witness>, body: String) -> HttpResponse {
    match web::block(move || witness.add_checkpoint(&body)).await {
        Ok(Ok(Answer::Cosigned(line))) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(line),
        Ok(Ok(Answer::Unknown)) => HttpResponse::NotFound().body("this witness does not watch that log\n"),
        Ok(Ok(Answer::Malformed)) => HttpResponse::BadRequest().body("not a request of c2sp.org/tlog-witness\n"),
        Ok(Ok(Answer::Refused(refusal))) => refused(&refusal),
        Ok(Err(error)) => {
            tracing::error!(%error, "the witness cannot write down what it saw, and cosigns nothing");
            HttpResponse::InternalServerError().finish()
        }
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

/// With a 409, the size that was seen, as the specification asks.
fn refused(refusal: &Refusal) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(refusal.status());
    let mut answer = HttpResponse::build(status.unwrap_or(actix_web::http::StatusCode::FORBIDDEN));
    match refusal {
        Refusal::OtherSize { seen: size } | Refusal::Forked { size } => {
            answer.content_type(SIZE_TYPE).body(format!("{size}\n"))
        }
        refusal => answer.body(format!("{refusal}\n")),
    }
}

#[derive(serde::Deserialize)]
struct OfLog {
    origin: String,
}

async fn newest(witness: web::Data<Witness>, query: web::Query<OfLog>) -> HttpResponse {
    match witness.newest(&query.origin) {
        Some(note) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(note),
        None => HttpResponse::NotFound().finish(),
    }
}

async fn key(witness: web::Data<Witness>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(format!("{}\n", witness.key()))
}
