//! The load client: a process of its own, so that what it spends is not taken for the gateway's.
//!
//! It reads one [`Order`] as JSON from standard input, carries it out against the gateway over HTTP, and prints a [`Done`]
//! as JSON. Every byte that it reads back is compared with what was written.

use std::io::Read;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, anyhow, bail, ensure};
use data_encoding::HEXLOWER;
use futures::StreamExt;
use reqwest::{Body, Client, Method, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::pattern::{Pattern, splitmix64};
use crate::process::own_cpu_seconds;
use crate::sigv4::{Signer, UNSIGNED_PAYLOAD, Unsigned, sha256_hex};
use crate::stopwatch::{now, percentile, today, widen};

/// Bodies up to this go out in one piece, as clients send small ones.
const ONE_PIECE_BYTES: u64 = 1 << 20;

/// Where the gateway is and who asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Target {
    /// `127.0.0.1:9000`, HTTP.
    pub(crate) host: String,
    pub(crate) region: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) bucket: String,
}

/// What to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) verb: Verb,
    /// Objects are named `{name}/{number}`, and number `n` has the content of pattern `n`.
    pub(crate) name: String,
    pub(crate) objects: u32,
    pub(crate) object_bytes: u64,
    /// Where it is less than that: objects have from so many bytes on, each by its number.
    pub(crate) object_bytes_min: u64,
    /// Request `i` is for object `i` modulo `objects`.
    pub(crate) requests: u32,
    pub(crate) at_once: usize,
}

impl Work {
    /// The length of an object: the same at every run.
    fn bytes_of(&self, object: u64) -> u64 {
        let spread = self.object_bytes.saturating_sub(self.object_bytes_min) + 1;
        // Neighbours differ: a multiplicative hash (Knuth, volume 3, section 6.4).
        self.object_bytes_min.min(self.object_bytes) + (object.wrapping_mul(11_400_714_819_323_198_485) >> 32) % spread
    }
}

/// Which request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verb {
    CreateBucket,
    /// The body's hash is part of the signature.
    PutSigned,
    /// `UNSIGNED-PAYLOAD`.
    Put,
    Get,
    /// So many bytes from a random byte on.
    GetRange {
        bytes: u64,
    },
    Delete,
}

/// An order: everything the client is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) target: Target,
    pub(crate) work: Work,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<String>,
    /// Of bodies, both ways, of requests that succeeded.
    pub(crate) bytes: u64,
    /// From the first request to the last answer.
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// Of single requests, to the last byte of the answer.
    pub(crate) p50_millis: f64,
    pub(crate) p99_millis: f64,
}

/// Carries out `order` in a process of its own.
pub(crate) async fn in_own_process(order: &Order) -> Result<Done> {
    let program: PathBuf = std::env::current_exe().context("this program does not know where it is")?;
    let mut child = tokio::process::Command::new(program)
        .arg("load-client")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the load client does not start")?;
    let mut input = child.stdin.take().context("the load client has no input")?;
    tokio::io::AsyncWriteExt::write_all(&mut input, &serde_json::to_vec(order)?).await?;
    drop(input);
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "the load client failed ({})", output.status);
    serde_json::from_slice(&output.stdout).context("the load client did not answer what it should")
}

/// The process's own `main`.
pub(crate) fn run_order() -> Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("the order cannot be read")?;
    let order: Order =
        serde_json::from_str(&text).context("the order is not one: this command is the benchmark's own")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(LoadClient::new(order)?.run())?;
    println!("{}", serde_json::to_string(&done)?);
    Ok(())
}

struct LoadClient {
    http: Client,
    order: Order,
    pattern: Pattern,
    /// SHA-256 of each object in hexadecimal, where bodies are signed: hashed before the clock starts.
    hashes: Vec<String>,
}

/// One request.
#[derive(Debug, Clone, Copy)]
struct Job {
    object: u64,
    start: u64,
    bytes: u64,
}

impl LoadClient {
    fn new(order: Order) -> Result<Self> {
        // Already installed is as good; HTTP without TLS is all that is spoken, but the client wants one to be there.
        let _or_already_there = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder().no_proxy().pool_max_idle_per_host(order.work.at_once).build()?;
        let pattern = Pattern::new();
        let Work { verb, objects, .. } = order.work;
        let hash = |object| {
            let pieces = pattern.pieces(u64::from(object), order.work.bytes_of(u64::from(object)));
            HEXLOWER.encode(&pieces.fold(Sha256::new(), Digest::chain_update).finalize())
        };
        let hashes = if verb == Verb::PutSigned { (0..objects).map(hash).collect() } else { Vec::new() };
        Ok(Self { http, order, pattern, hashes })
    }

    async fn run(self) -> Result<Done> {
        let jobs = (0..u64::from(self.order.work.requests)).map(|request| self.job(request));
        let (start, cpu) = (now(), own_cpu_seconds()?);
        let mut answers = futures::stream::iter(jobs)
            .map(|job| {
                let client = &self;
                async move {
                    let start = now();
                    (client.send(job).await, start.elapsed())
                }
            })
            .buffer_unordered(self.order.work.at_once.max(1));
        let (mut bytes, mut failed, mut first_failure) = (0, 0, None);
        let mut millis = Vec::new();
        while let Some((answer, took)) = answers.next().await {
            match answer {
                Ok(moved) => {
                    bytes += moved;
                    millis.push(took.as_secs_f64() * 1000.0);
                }
                Err(error) => {
                    failed += 1;
                    first_failure.get_or_insert_with(|| format!("{error:#}"));
                }
            }
        }
        drop(answers);
        millis.sort_unstable_by(f64::total_cmp);
        Ok(Done {
            requests: u64::from(self.order.work.requests),
            failed,
            first_failure,
            bytes,
            seconds: start.elapsed().as_secs_f64(),
            cpu_seconds: own_cpu_seconds()? - cpu,
            p50_millis: percentile(&millis, 0.50),
            p99_millis: percentile(&millis, 0.99),
        })
    }

    fn job(&self, request: u64) -> Job {
        let Work { verb, objects, .. } = self.order.work;
        let object = request % u64::from(objects.max(1));
        match verb {
            Verb::GetRange { bytes } => {
                let starts = self.order.work.bytes_of(object).saturating_sub(bytes) + 1;
                Job { object, start: splitmix64(request) % starts, bytes }
            }
            _ => Job { object, start: 0, bytes: self.order.work.bytes_of(object) },
        }
    }

    /// Sends one request, reads its answer to the end, and returns how many bytes of bodies that were.
    async fn send(&self, job: Job) -> Result<u64> {
        let verb = self.order.work.verb;
        let Target { host, region, access_key, secret_key, bucket } = &self.order.target;
        let path = match verb {
            Verb::CreateBucket => format!("/{bucket}"),
            _ => format!("/{bucket}/{}/{}", self.order.work.name, job.object),
        };
        let method = match verb {
            Verb::CreateBucket | Verb::PutSigned | Verb::Put => Method::PUT,
            Verb::Get | Verb::GetRange { .. } => Method::GET,
            Verb::Delete => Method::DELETE,
        };
        let empty = sha256_hex(b"");
        let payload: &str = match verb {
            Verb::Put => UNSIGNED_PAYLOAD,
            Verb::PutSigned => {
                let hash = usize::try_from(job.object).ok().and_then(|object| self.hashes.get(object));
                hash.context("every object that is signed was hashed")?
            }
            _ => &empty,
        };
        let range = matches!(verb, Verb::GetRange { .. })
            .then(|| format!("bytes={}-{}", job.start, job.start + job.bytes.saturating_sub(1)));
        let more: Vec<(&str, &str)> = range.iter().map(|range| ("range", range.as_str())).collect();
        let signer = Signer { access_key, secret_key, region };
        let unsigned = Unsigned { method: method.as_str(), host, path: &path, payload, more: &more };
        let mut request = self.http.request(method.clone(), format!("http://{host}{path}"));
        for (name, value) in signer.headers(&unsigned, today()) {
            request = request.header(name, value);
        }
        for (name, value) in more {
            request = request.header(name, value);
        }
        if matches!(verb, Verb::Put | Verb::PutSigned) {
            request = request.header("content-length", job.bytes).body(self.body(job));
        }
        self.read(job, request.send().await?).await
    }

    fn body(&self, job: Job) -> Body {
        if job.bytes > ONE_PIECE_BYTES {
            return Body::wrap_stream(self.pattern.stream(job.object, job.bytes));
        }
        self.pattern.pieces(job.object, job.bytes).flatten().collect::<Vec<u8>>().into()
    }

    async fn read(&self, job: Job, answer: reqwest::Response) -> Result<u64> {
        let verb = self.order.work.verb;
        let status = answer.status();
        if !status.is_success() {
            let text = answer.text().await.unwrap_or_default();
            bail!("{status}: {}", text.chars().take(400).collect::<String>());
        }
        let is_read = match verb {
            Verb::Get => true,
            Verb::GetRange { .. } => {
                ensure!(status == StatusCode::PARTIAL_CONTENT, "a range was asked for, and the answer is {status}");
                true
            }
            Verb::CreateBucket | Verb::PutSigned | Verb::Put | Verb::Delete => false,
        };
        let mut body = answer.bytes_stream();
        let mut read = 0;
        while let Some(piece) = body.next().await {
            let piece = piece?;
            if is_read && !self.pattern.holds(job.object, job.start + read, &piece) {
                bail!("object {} differs from what was put, at or after byte {}", job.object, job.start + read);
            }
            read += widen(piece.len());
        }
        match verb {
            Verb::Get | Verb::GetRange { .. } if read != job.bytes => {
                Err(anyhow!("object {} came back with {read} bytes of {}", job.object, job.bytes))
            }
            Verb::Get | Verb::GetRange { .. } | Verb::Put | Verb::PutSigned => Ok(job.bytes),
            Verb::CreateBucket | Verb::Delete => Ok(0),
        }
    }
}
