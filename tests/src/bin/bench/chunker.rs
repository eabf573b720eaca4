//! The chunker on one thread, next to its parts alone in the same run: the ratio is what travels between machines.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::Bytes;
use domicile_chunker::{
    BufferPool, DataKey, Encoder, EncoderConfig, PART_WHOLE, PartContext, SaltSeed, SealedSegment, SegmentRead,
    open_segment, reconstruct, sealed_bytes_max, segment_bytes_max,
};
use domicile_types::{CodeProfile, DataId, SuiteId, TenantId, UploadId};

use crate::Effort;
use crate::disk::GIB;
use crate::parts::Parts;
use crate::pattern::Pattern;
use crate::report::{Cell, Report, Table};
use crate::stopwatch::{Took, float, median, timed, widen};

/// More than a last-level cache of this class of machine gives one thread, and a whole number of segments of every profile.
const DATA_BYTES: usize = 64 << 20;
/// Bodies arrive from a socket in pieces of about this.
const PIECE_BYTES: usize = 64 << 10;
/// Passes over the data per measurement, so that a tick of the kernel's clock is small against it.
const PASSES: u32 = 4;
/// The data shards that are lost in the decode that must rebuild.
const LOST: [usize; 2] = [0, 1];

const SHARED_NOTE: &str = "One thread; processor seconds per GiB of user data, medians of rounds in which every column was \
    measured in turn, over 64 MiB at a time. Seal, parity and name are the crates by themselves, on memory that is used again \
    segment by segment, so that only what a gateway finds cold is cold; parts is their sum. MB/s (10^6 bytes) are of the wall \
    clock, which whatever else runs slows down.";

/// Both tables.
pub(crate) fn run(report: &mut Report, effort: Effort) -> Result<()> {
    let mut encode = Table::new(
        "encode",
        "Chunker: encode",
        &[SHARED_NOTE, "Over 100% is possible: the chunker hashes parity while it is still in cache."],
    );
    let mut decode = Table::new(
        "decode",
        "Chunker: decode",
        &["As above. Verify: the names of k shards. Rebuild: two lost data shards from parity."],
    );
    let plain: Vec<u8> = Pattern::new().pieces(0, widen(DATA_BYTES)).flatten().collect();
    for profile in [CodeProfile::RS_4_2, CodeProfile::RS_16_8] {
        for suite in [SuiteId::ChaCha20Poly1305, SuiteId::Aes256Gcm] {
            eprintln!("bench: chunker, {profile}, {}", suite.iana_name());
            let figures = measure(profile, suite, &plain, 3 * effort.times)?;
            encode.row(figures.encode_row(profile, suite));
            decode.row(figures.decode_row(profile, suite));
        }
    }
    report.add(encode);
    report.add(decode);
    Ok(())
}

/// What is measured, in the order of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Seal,
    Code,
    Name,
    Encode,
    Verify,
    Open,
    Rebuild,
    DecodeHealthy,
    DecodeLost,
}

const STEPS: [Step; 9] = [
    Step::Seal,
    Step::Code,
    Step::Name,
    Step::Encode,
    Step::Verify,
    Step::Open,
    Step::Rebuild,
    Step::DecodeHealthy,
    Step::DecodeLost,
];

struct Figures(Vec<(Step, Took)>);

fn measure(profile: CodeProfile, suite: SuiteId, plain: &[u8], rounds: u32) -> Result<Figures> {
    let mut parts = Parts::new(profile, suite, plain)?;
    let mut pipeline = Pipeline::new(profile, suite, plain)?;
    let mut figures = Figures(Vec::new());
    for _ in 0..rounds {
        for step in STEPS {
            let took = timed(|| {
                for _ in 0..PASSES {
                    match step {
                        Step::Seal => parts.seal()?,
                        Step::Code => parts.code()?,
                        Step::Name => parts.name()?,
                        Step::Verify => pipeline.verify(),
                        Step::Open => parts.open()?,
                        Step::Encode => drop(pipeline.encode(|segment| drop(black_box(segment)))?),
                        Step::Rebuild => pipeline.rebuild()?,
                        Step::DecodeHealthy => pipeline.decode(&[])?,
                        Step::DecodeLost => pipeline.decode(&LOST)?,
                    }
                }
                Ok(())
            })?;
            figures.0.push((step, took));
        }
    }
    Ok(figures)
}

impl Figures {
    /// Processor seconds per GiB.
    fn cpu(&self, step: Step) -> f64 {
        self.median(step, |took| took.cpu.as_secs_f64() * GIB / measured_bytes())
    }

    fn megabytes_per_second(&self, step: Step) -> f64 {
        self.median(step, |took| measured_bytes() / 1e6 / took.wall.as_secs_f64())
    }

    fn median(&self, step: Step, figure: impl Fn(&Took) -> f64) -> f64 {
        median(self.0.iter().filter(|(of, _)| *of == step).map(|(_, took)| figure(took)).collect())
    }

    fn encode_row(&self, profile: CodeProfile, suite: SuiteId) -> Vec<(&'static str, Cell)> {
        let parts = [Step::Seal, Step::Code, Step::Name].map(|step| self.cpu(step));
        let (sum, encode) = (parts.iter().sum::<f64>(), self.cpu(Step::Encode));
        let [seal, code, name] = parts.map(|cpu| Cell::Number(cpu, 3));
        vec![
            ("code", Cell::text(profile.to_string())),
            ("cipher", Cell::text(cipher_name(suite))),
            ("seal", seal),
            ("parity", code),
            ("name", name),
            ("parts", Cell::Number(sum, 3)),
            ("encode", Cell::Number(encode, 3)),
            ("parts/encode %", Cell::Number(100.0 * sum / encode, 0)),
            ("encode MB/s", Cell::Number(self.megabytes_per_second(Step::Encode), 0)),
        ]
    }

    fn decode_row(&self, profile: CodeProfile, suite: SuiteId) -> Vec<(&'static str, Cell)> {
        let parts = [Step::Verify, Step::Open, Step::Rebuild].map(|step| self.cpu(step));
        let [verify, open, rebuild] = parts;
        let (healthy, lost) = (self.cpu(Step::DecodeHealthy), self.cpu(Step::DecodeLost));
        let seconds = |cpu| Cell::Number(cpu, 3);
        vec![
            ("code", Cell::text(profile.to_string())),
            ("cipher", Cell::text(cipher_name(suite))),
            ("verify", seconds(verify)),
            ("open", seconds(open)),
            ("rebuild 2", seconds(rebuild)),
            ("healthy", seconds(healthy)),
            ("parts/healthy %", Cell::Number(100.0 * (verify + open) / healthy, 0)),
            ("2 lost", seconds(lost)),
            ("parts/2 lost %", Cell::Number(100.0 * (verify + open + rebuild) / lost, 0)),
            ("healthy MB/s", Cell::Number(self.megabytes_per_second(Step::DecodeHealthy), 0)),
            ("2 lost MB/s", Cell::Number(self.megabytes_per_second(Step::DecodeLost), 0)),
        ]
    }
}

fn measured_bytes() -> f64 {
    float(u64::from(PASSES) * widen(DATA_BYTES))
}

fn cipher_name(suite: SuiteId) -> &'static str {
    match suite {
        SuiteId::ChaCha20Poly1305 => "ChaCha20-Poly1305",
        SuiteId::Aes256Gcm => "AES-256-GCM",
    }
}

/// The chunker as a gateway uses it, without gateway.
struct Pipeline<'a> {
    profile: CodeProfile,
    suite: SuiteId,
    plain: &'a [u8],
    key: DataKey,
    pool: BufferPool,
    /// Counts encoders: each must have a salt seed of its own.
    encoders: u8,
    stored: Vec<Stored>,
    output: Vec<u8>,
}

/// A segment with its shards.
struct Stored {
    read: SegmentRead,
    shards: Vec<Bytes>,
}

impl<'a> Pipeline<'a> {
    fn new(profile: CodeProfile, suite: SuiteId, plain: &'a [u8]) -> Result<Self> {
        let mut pipeline = Self {
            profile,
            suite,
            plain,
            key: DataKey::from_bytes([3; 32]),
            pool: BufferPool::new(sealed_bytes_max(profile), 2),
            encoders: 0,
            stored: Vec::new(),
            output: vec![0; segment_bytes_max(profile)],
        };
        let mut sealed = Vec::new();
        let context = pipeline.encode(|segment| sealed.push(segment))?;
        pipeline.stored = sealed
            .into_iter()
            .map(|SealedSegment { record, shards }| {
                let offset = u64::from(record.index) * widen(segment_bytes_max(profile));
                let read = SegmentRead::whole(context.segment(record.index), Arc::new(record), offset);
                Stored { read, shards }
            })
            .collect();
        pipeline.check()?;
        Ok(pipeline)
    }

    /// What was encoded decodes to the same, with all shards and without two: else the figures would be of something else.
    fn check(&mut self) -> Result<()> {
        let last = self.plain.chunks_exact(segment_bytes_max(self.profile)).next_back();
        for lost in [&[][..], &LOST] {
            self.output.fill(0);
            self.decode(lost)?;
            ensure!(last == Some(&*self.output), "decoding gave other bytes than were encoded");
        }
        Ok(())
    }

    fn encode(&mut self, mut take: impl FnMut(SealedSegment)) -> Result<PartContext> {
        self.encoders = self.encoders.wrapping_add(1);
        let context = PartContext {
            tenant: TenantId::parse("bench")?,
            data: DataId::from_bytes([1; 16]),
            upload: UploadId::from_bytes([2; 16]),
            part: PART_WHOLE,
        };
        let config = EncoderConfig {
            context: context.clone(),
            suite: self.suite,
            profile: self.profile,
            bytes_expected: Some(widen(self.plain.len())),
            pool: self.pool.clone(),
        };
        let mut encoder = Encoder::new(&self.key, config, SaltSeed::from_random([self.encoders; 32]));
        for mut piece in self.plain.chunks(PIECE_BYTES) {
            while let Some(segment) = encoder.push(&mut piece)? {
                take(segment.code());
            }
        }
        if let Some(segment) = encoder.finish()? {
            take(segment.code());
        }
        Ok(context)
    }

    /// Opens every segment from k shards: the data shards, but parity in place of those `lost`.
    fn decode(&mut self, lost: &[usize]) -> Result<()> {
        for Stored { read, shards } in &self.stored {
            let mut slots = slots(self.profile, shards, lost);
            let corrupt = open_segment(&self.key, read, &mut slots, &self.pool, &mut self.output)?;
            ensure!(corrupt.is_empty(), "shards {corrupt:?} are corrupt");
        }
        Ok(())
    }

    /// Names the data shards of every segment.
    fn verify(&self) {
        for shard in self.stored.iter().flat_map(|stored| stored.shards.iter().take(self.profile.k())) {
            black_box(blake3::hash(shard));
        }
    }

    /// Rebuilds [`LOST`] as often as there are segments, always of the first: a decode has just read what it rebuilds from.
    fn rebuild(&self) -> Result<()> {
        for Stored { shards, .. } in self.stored.iter().filter_map(|_| self.stored.first()) {
            let mut slots = slots(self.profile, shards, &LOST);
            reconstruct(self.profile, &mut slots, &LOST, &self.pool)?;
            black_box(slots);
        }
        Ok(())
    }
}

/// k shards by position: data, but for each `lost` one a parity shard.
fn slots(profile: CodeProfile, shards: &[Bytes], lost: &[usize]) -> Vec<Option<Bytes>> {
    let has = |shard: usize| shard < profile.k() + lost.len() && !lost.contains(&shard);
    shards.iter().enumerate().map(|(shard, bytes)| has(shard).then(|| bytes.clone())).collect()
}
