//! Systematic Reed-Solomon over GF(2^8) with the matrix of the crate `reed-solomon-erasure`, which defines the format.
//!
//! `rustfs-erasure-codec` computes it (run-time choice of AVX-512, GFNI, AVX2, NEON); tests hold the two equal.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use blake3::Hasher;
use bytes::Bytes;
use domicile_types::{CodeProfile, ShardCid};
use rustfs_erasure_codec::galois_8::{self, ReedSolomon};

use crate::buffer::BufferPool;

/// What a strip of all shards may take of L2 (2 MiB on the class of machine measured), leaving room for the hash states.
const STRIP_BYTES_ALL_SHARDS: usize = 1 << 20;
/// Strips begin at multiples of this, so that BLAKE3 sees whole subtrees of 16 chunks: its widest SIMD.
const STRIP_ALIGN_BYTES: usize = 16 * 1024;

/// Why shards cannot be rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReconstructError {
    /// Not one slot per shard of the profile.
    #[error("profile {profile} has {} shards, {slots} slots were given", .profile.n())]
    SlotCount {
        /// The profile.
        profile: CodeProfile,
        /// The slots given.
        slots: usize,
    },
    /// A shard index outside the profile was asked for.
    #[error("profile {profile} has no shard {shard}")]
    NoSuchShard {
        /// The profile.
        profile: CodeProfile,
        /// The index asked for.
        shard: usize,
    },
    /// Fewer than k shards are at hand.
    #[error("{have} shards at hand, {need} are needed: fetch others, or wait for their nodes")]
    TooFewShards {
        /// Shards given.
        have: usize,
        /// k.
        need: usize,
    },
    /// The shards given are not equally long.
    #[error("shard {shard} has {bytes} bytes where the others have {expected}: ask for the same range everywhere")]
    UnevenShards {
        /// The first that differs.
        shard: usize,
        /// Its length.
        bytes: usize,
        /// The length of those before it.
        expected: usize,
    },
}

/// The code of one profile with k > 1: the generator's parity rows, and the machine that applies them.
pub(crate) struct Codec {
    profile: CodeProfile,
    /// Absent when the profile has no parity.
    machine: Option<ReedSolomon>,
    /// m rows of k coefficients.
    parity_rows: Vec<Vec<u8>>,
}

impl Codec {
    /// The codec of `profile`, made once per process. Profiles come from configurations and sealed manifests: few.
    pub(crate) fn of(profile: CodeProfile) -> Arc<Self> {
        static CODECS: Mutex<BTreeMap<CodeProfile, Arc<Codec>>> = Mutex::new(BTreeMap::new());
        let mut codecs = CODECS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(codecs.entry(profile).or_insert_with(|| Arc::new(Self::new(profile))))
    }

    fn new(profile: CodeProfile) -> Self {
        let machine = ReedSolomon::new(profile.k(), profile.m()).ok();
        assert!(machine.is_some() || profile.m() == 0, "1 to 128 shards are within the code's 256");
        let parity_rows = machine.as_ref().map_or_else(Vec::new, |machine| parity_rows(machine, profile));
        Self { profile, machine, parity_rows }
    }

    /// Fills the parity shards of `shards` (n shards, one after the other, `shard_bytes` each) and names all n.
    ///
    /// Works strip by strip, so that coding and hashing find their bytes in L2.
    pub(crate) fn encode_and_name(&self, shards: &mut [u8], shard_bytes: usize) -> Vec<ShardCid> {
        let (k, n) = (self.profile.k(), self.profile.n());
        let mut hashers = vec![Hasher::new(); n];
        let strip_bytes = strip_bytes(n);
        let (data, parity) = shards.split_at_mut(k * shard_bytes);
        for start in (0..shard_bytes).step_by(strip_bytes) {
            let strip = start..shard_bytes.min(start + strip_bytes);
            let inputs: Vec<&[u8]> = data.chunks_exact(shard_bytes).filter_map(|s| s.get(strip.clone())).collect();
            let mut outputs: Vec<&mut [u8]> =
                parity.chunks_exact_mut(shard_bytes).filter_map(|s| s.get_mut(strip.clone())).collect();
            if let Some(machine) = &self.machine {
                let coded = machine.encode_sep(&inputs, &mut outputs);
                assert!(coded.is_ok(), "strips are as many and as long as the code demands");
            }
            let strips = inputs.into_iter().chain(outputs.iter().map(|strip| &**strip));
            for (hasher, strip) in hashers.iter_mut().zip(strips) {
                hasher.update(strip);
            }
        }
        hashers.iter().map(|hasher| ShardCid::from_digest(*hasher.finalize().as_bytes())).collect()
    }

    /// For each wanted shard, its coefficients over `sources` (k present shards: data first, then parity).
    fn combinations(&self, present: &[bool], wanted: &[usize]) -> Option<Combinations> {
        let k = self.profile.k();
        let has = |shard: &usize| present.get(*shard).copied().unwrap_or(false);
        let lost: Vec<usize> = (0..k).filter(|shard| !has(shard)).collect();
        let helpers: Vec<usize> = (k..self.profile.n()).filter(has).take(lost.len()).collect();
        if helpers.len() < lost.len() {
            return None;
        }
        let sources: Vec<usize> = (0..k).filter(has).chain(helpers.iter().copied()).collect();

        // parity_h = sum over lost of g[h][l] d_l + sum over present of g[h][i] d_i; solve for d_l.
        let square = helpers.iter().map(|h| lost.iter().map(|l| self.coefficient(*h, *l)).collect()).collect();
        let inverse = invert(square)?;
        let lost_rows: Vec<Vec<u8>> = inverse
            .iter()
            .map(|row| {
                let over_source = |source: &usize| {
                    helpers.iter().zip(row).fold(0, |sum, (helper, weight)| {
                        let factor =
                            if *source < k { self.coefficient(*helper, *source) } else { u8::from(source == helper) };
                        galois_8::add(sum, galois_8::mul(*weight, factor))
                    })
                };
                sources.iter().map(over_source).collect()
            })
            .collect();

        let row_of = |shard: usize| -> Vec<u8> {
            if let Some(row) = lost.iter().position(|l| *l == shard).and_then(|at| lost_rows.get(at)) {
                return row.clone();
            }
            // A present shard is itself; a lost parity shard is its row over the data, lost data replaced by theirs.
            let mut total: Vec<u8> =
                sources.iter().map(|source| if *source < k { self.coefficient(shard, *source) } else { 0 }).collect();
            for (l, row) in lost.iter().zip(&lost_rows) {
                let weight = self.coefficient(shard, *l);
                for (sum, factor) in total.iter_mut().zip(row) {
                    *sum = galois_8::add(*sum, galois_8::mul(weight, *factor));
                }
            }
            total
        };
        let rows = wanted.iter().map(|shard| row_of(*shard)).collect();
        Some(Combinations { sources, rows })
    }

    /// How much of data shard `data` is in `shard`.
    fn coefficient(&self, shard: usize, data: usize) -> u8 {
        match shard.checked_sub(self.profile.k()) {
            None => u8::from(shard == data),
            Some(row) => self.parity_rows.get(row).and_then(|row| row.get(data)).copied().unwrap_or(0),
        }
    }
}

struct Combinations {
    sources: Vec<usize>,
    rows: Vec<Vec<u8>>,
}

/// Rebuilds the shards `wanted` from any k of the others, all slots holding the same byte range of their shards (or whole
/// shards). Slots are by position; those in `wanted` that are empty are filled, the rest stays.
///
/// Positions work byte by byte: to rebuild bytes 100..200 of one shard, bytes 100..200 of any k others are enough. Nothing is
/// verified here: whole shards are checked by their names, ranges by the tags of their chunks.
pub fn reconstruct(
    profile: CodeProfile,
    slots: &mut [Option<Bytes>],
    wanted: &[usize],
    pool: &BufferPool,
) -> Result<(), ReconstructError> {
    if slots.len() != profile.n() {
        return Err(ReconstructError::SlotCount { profile, slots: slots.len() });
    }
    if let Some(shard) = wanted.iter().copied().find(|shard| *shard >= profile.n()) {
        return Err(ReconstructError::NoSuchShard { profile, shard });
    }
    let bytes = even_length(slots)?;
    let have = slots.iter().flatten().count();
    if have < profile.k() {
        return Err(ReconstructError::TooFewShards { have, need: profile.k() });
    }
    let present: Vec<bool> = slots.iter().map(Option::is_some).collect();
    let mut missing: Vec<usize> =
        wanted.iter().copied().filter(|shard| present.get(*shard).is_some_and(|have| !have)).collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let rebuilt: Vec<Bytes> = if profile.k() == 1 {
        let copy = slots.iter().flatten().next().cloned().unwrap_or_default();
        vec![copy; missing.len()]
    } else {
        let codec = Codec::of(profile);
        let combinations = codec.combinations(&present, &missing);
        let combinations = combinations.ok_or(ReconstructError::TooFewShards { have, need: profile.k() })?;
        let inputs: Vec<&[u8]> =
            combinations.sources.iter().filter_map(|source| slots.get(*source)?.as_deref()).collect();
        let mut memory = pool.take(bytes * missing.len());
        combine(&combinations.rows, &inputs, &mut memory, bytes);
        let memory = memory.freeze();
        (0..missing.len()).map(|i| memory.slice(i * bytes..(i + 1) * bytes)).collect()
    };
    for (shard, bytes) in missing.into_iter().zip(rebuilt) {
        if let Some(slot) = slots.get_mut(shard) {
            *slot = Some(bytes);
        }
    }
    Ok(())
}

/// The length that all filled slots have.
fn even_length(slots: &[Option<Bytes>]) -> Result<usize, ReconstructError> {
    let mut expected = None;
    for (shard, bytes) in slots.iter().enumerate().filter_map(|(shard, slot)| Some((shard, slot.as_ref()?.len()))) {
        match *expected.get_or_insert(bytes) {
            same if same == bytes => {}
            expected => return Err(ReconstructError::UnevenShards { shard, bytes, expected }),
        }
    }
    Ok(expected.unwrap_or(0))
}

/// `memory` = rows x inputs, each output `bytes` long, strip by strip.
fn combine(rows: &[Vec<u8>], inputs: &[&[u8]], memory: &mut [u8], bytes: usize) {
    let strip_bytes = strip_bytes(inputs.len() + rows.len());
    for start in (0..bytes).step_by(strip_bytes) {
        let strip = start..bytes.min(start + strip_bytes);
        for (row, output) in rows.iter().zip(memory.chunks_exact_mut(bytes)) {
            let Some(output) = output.get_mut(strip.clone()) else { continue };
            let mut terms = row.iter().zip(inputs.iter().filter_map(|input| input.get(strip.clone())));
            if let Some((factor, input)) = terms.next() {
                galois_8::mul_slice(*factor, input, output);
            }
            for (factor, input) in terms {
                galois_8::mul_slice_xor(*factor, input, output);
            }
        }
    }
}

/// How much of each shard is worked on at once.
fn strip_bytes(shards: usize) -> usize {
    (STRIP_BYTES_ALL_SHARDS / shards.max(1) / STRIP_ALIGN_BYTES).max(1) * STRIP_ALIGN_BYTES
}

/// The generator's parity rows, read off the machine itself: the parity of the unit vectors.
fn parity_rows(machine: &ReedSolomon, profile: CodeProfile) -> Vec<Vec<u8>> {
    let k = profile.k();
    let unit = |i: usize| (0..k).map(|j| u8::from(i == j)).collect::<Vec<u8>>();
    let data: Vec<Vec<u8>> = (0..k).map(unit).collect();
    let mut parity = vec![vec![0; k]; profile.m()];
    let coded = machine.encode_sep(&data, &mut parity);
    assert!(coded.is_ok(), "unit vectors are as many and as long as the code demands");
    parity
}

/// Gauss-Jordan over GF(2^8). `None` when singular, which no square of parity rows of this code is.
fn invert(mut left: Vec<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let n = left.len();
    let mut right: Vec<Vec<u8>> = (0..n).map(|i| (0..n).map(|j| u8::from(i == j)).collect()).collect();
    for column in 0..n {
        let pivot = (column..n).find(|row| left.get(*row).and_then(|r| r.get(column)) != Some(&0))?;
        left.swap(column, pivot);
        right.swap(column, pivot);
        let scale = galois_8::div(1, *left.get(column)?.get(column)?);
        for row in [left.get_mut(column)?, right.get_mut(column)?] {
            row.iter_mut().for_each(|value| *value = galois_8::mul(*value, scale));
        }
        let (pivot_left, pivot_right) = (left.get(column)?.clone(), right.get(column)?.clone());
        for row in (0..n).filter(|row| *row != column) {
            let factor = *left.get(row)?.get(column)?;
            for (target, source) in [(left.get_mut(row)?, &pivot_left), (right.get_mut(row)?, &pivot_right)] {
                for (value, from) in target.iter_mut().zip(source) {
                    *value = galois_8::add(*value, galois_8::mul(factor, *from));
                }
            }
        }
    }
    Some(right)
}
