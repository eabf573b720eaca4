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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reed_solomon_erasure::galois_8::ReedSolomon as Oracle;

    /// Bytes that differ everywhere.
    fn noise(bytes: usize, seed: u64) -> Vec<u8> {
        let mut output = vec![0; bytes];
        let mut hasher = Hasher::new();
        hasher.update(&seed.to_le_bytes()).finalize_xof().fill(&mut output);
        output
    }

    fn oracle(profile: CodeProfile, data: &[u8], shard_bytes: usize) -> Vec<Vec<u8>> {
        let mut shards: Vec<Vec<u8>> = data.chunks(shard_bytes).map(<[u8]>::to_vec).collect();
        shards.resize(profile.n(), vec![0; shard_bytes]);
        Oracle::new(profile.k(), profile.m()).unwrap().encode(&mut shards).unwrap();
        shards
    }

    fn assert_equal_to_oracle(profile: CodeProfile, shard_bytes: usize) {
        let mut shards = noise(profile.k() * shard_bytes, crate::layout::widen(shard_bytes));
        let expected = oracle(profile, &shards, shard_bytes);
        shards.resize(profile.n() * shard_bytes, 0xee);
        let cids = Codec::of(profile).encode_and_name(&mut shards, shard_bytes);
        for (i, (shard, expected)) in shards.chunks(shard_bytes).zip(&expected).enumerate() {
            assert!(shard == expected, "shard {i} of {profile} with {shard_bytes} bytes differs");
            assert_eq!(cids[i], ShardCid::of(expected));
        }
    }

    #[test]
    fn coded_bytes_equal_those_of_reed_solomon_erasure() {
        let four_plus_one = CodeProfile::new(4, 1).unwrap();
        for profile in CodeProfile::CODED.into_iter().chain([four_plus_one]) {
            for shard_bytes in [64, 128, 16_384, 16_448, 65_600] {
                assert_equal_to_oracle(profile, shard_bytes);
            }
        }
        for profile in [CodeProfile::RS_4_2, CodeProfile::RS_8_4, CodeProfile::RS_16_8] {
            assert_equal_to_oracle(profile, crate::layout::SHARD_BYTES_MAX);
        }
    }

    /// The crate that defines the format makes whole copies of one data shard too, so k = 1 is no exception to it.
    #[test]
    fn whole_copies_equal_those_of_reed_solomon_erasure() {
        for m in [2, 4, 8, 51] {
            let data = noise(320, u64::from(m));
            let shards = oracle(CodeProfile::new(1, m).unwrap(), &data, 320);
            assert!(shards.iter().all(|shard| *shard == data));
        }
    }

    fn slots(profile: CodeProfile, shard_bytes: usize) -> Vec<Option<Bytes>> {
        let data = noise(profile.k() * shard_bytes, 7);
        oracle(profile, &data, shard_bytes).into_iter().map(|shard| Some(Bytes::from(shard))).collect()
    }

    fn any_profile() -> impl Strategy<Value = CodeProfile> {
        prop_oneof![
            Just(CodeProfile::RS_4_2),
            Just(CodeProfile::RS_8_4),
            Just(CodeProfile::RS_16_8),
            Just(CodeProfile::RS_29_51),
            Just(CodeProfile::new(1, 2).unwrap()),
            Just(CodeProfile::new(3, 3).unwrap()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_k_shards_give_back_all_others(
            profile in any_profile(),
            order in any::<[u32; 80]>(),
            shard_bytes in prop_oneof![Just(64usize), Just(20_032)],
        ) {
            let whole = slots(profile, shard_bytes);
            let mut kept: Vec<usize> = (0..profile.n()).collect();
            kept.sort_by_key(|shard| order[*shard]);
            kept.truncate(profile.k());
            let mut left: Vec<_> =
                whole.iter().enumerate().map(|(i, shard)| shard.clone().filter(|_| kept.contains(&i))).collect();
            let all: Vec<usize> = (0..profile.n()).collect();
            reconstruct(profile, &mut left, &all, &BufferPool::new(0, 0)).unwrap();
            prop_assert!(left == whole);
        }
    }

    #[test]
    fn only_what_is_wanted_is_rebuilt() {
        let whole = slots(CodeProfile::RS_4_2, 64);
        let mut left = whole.clone();
        (left[1], left[5]) = (None, None);
        reconstruct(CodeProfile::RS_4_2, &mut left, &[1, 1, 0], &BufferPool::new(0, 0)).unwrap();
        assert_eq!((&left[1], &left[5]), (&whole[1], &None));
    }

    #[test]
    fn reconstruct_refuses_what_it_cannot_do() {
        let profile = CodeProfile::RS_4_2;
        let pool = BufferPool::new(0, 0);
        let mut left = slots(profile, 64);
        assert_eq!(
            reconstruct(profile, &mut left[..5], &[0], &pool),
            Err(ReconstructError::SlotCount { profile, slots: 5 })
        );
        assert_eq!(
            reconstruct(profile, &mut left, &[6], &pool),
            Err(ReconstructError::NoSuchShard { profile, shard: 6 })
        );
        (left[0], left[4], left[5]) = (None, None, None);
        assert_eq!(
            reconstruct(profile, &mut left, &[0], &pool),
            Err(ReconstructError::TooFewShards { have: 3, need: 4 })
        );
        left[4] = Some(Bytes::from_static(&[0; 65]));
        assert_eq!(
            reconstruct(profile, &mut left, &[0], &pool),
            Err(ReconstructError::UnevenShards { shard: 4, bytes: 65, expected: 64 })
        );
    }

    #[test]
    fn a_profile_without_parity_is_coded_and_named() {
        assert_eq!(Codec::of(CodeProfile::new(3, 0).unwrap()).encode_and_name(&mut noise(192, 1), 64).len(), 3);
    }
}
