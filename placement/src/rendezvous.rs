//! Capacity-weighted rendezvous hashing in integers.
//!
//! Every node draws `E = -log2(h) / capacity` with `h` a hash of seed and node in (0, 1); the smallest draws win. That is the
//! order of weighted sampling without replacement (Efraimidis and Spirakis, "Weighted random sampling with a
//! reservoir", 2006; Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005): a node wins in proportion
//! to its capacity, and a node that comes or goes changes only the choices in which it takes part.
//!
//! The customary form, `-w / ln(h)` in floating point, depends on the platform's `ln`, whose last bit IEEE 754 leaves open;
//! two gateways could then disagree. Here the logarithm is a fixed-point integer and draws are compared as fractions, by
//! exact cross-multiplication. Cost: some 50 multiplications of 64 bits per node and segment.

use std::cmp::Ordering;

use domicile_types::NodeId;

use crate::PlacementSeed;

/// Bits after the point of a logarithm.
const FRACTION_BITS: u32 = 48;

/// One node's draw for one seed. Smaller is better; never equal for two nodes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    /// `-log2(h)`, with [`FRACTION_BITS`] bits after the point: at most 2^54.
    exponential: u64,
    /// Never zero.
    weight: u64,
    node: NodeId,
}

impl Draw {
    /// The draw of `node`, which offers `capacity_bytes` (none counts as one byte).
    pub(crate) fn new(seed: &PlacementSeed, node: &NodeId, capacity_bytes: u64) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(seed.as_bytes());
        let mut first = [0; 8];
        hasher.update(node.public_key()).finalize_xof().fill(&mut first);
        Self { exponential: negative_log2(u64::from_be_bytes(first)), weight: capacity_bytes.max(1), node: *node }
    }
}

impl Ord for Draw {
    fn cmp(&self, other: &Self) -> Ordering {
        // a / v < b / w exactly when a w < b v; both products stay below 2^54 * 2^64.
        let left = u128::from(self.exponential) * u128::from(other.weight);
        let right = u128::from(other.exponential) * u128::from(self.weight);
        left.cmp(&right).then_with(|| self.node.cmp(&other.node))
    }
}

impl PartialOrd for Draw {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Draw {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Draw {}

/// `-log2(hash / 2^64)` with [`FRACTION_BITS`] bits after the point, truncated; a hash of zero counts as one.
///
/// One bit per squaring: log2(x) is at least 1/2 exactly when x^2 is at least 2, and so on with what remains.
fn negative_log2(hash: u64) -> u64 {
    let hash = hash.max(1);
    let leading = hash.leading_zeros();
    // `mantissa / 2^63` is in [1, 2).
    let mut mantissa = u128::from(hash) << leading;
    let mut log2 = u64::from(63 - leading);
    for _ in 0..FRACTION_BITS {
        mantissa = (mantissa * mantissa) >> 63;
        log2 <<= 1;
        if mantissa >> 64 != 0 {
            mantissa >>= 1;
            log2 |= 1;
        }
    }
    (64 << FRACTION_BITS) - log2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_integer_logarithm_is_a_logarithm() {
        let scale = 2f64.powi(48);
        for hash in [1, 2, 3, 1 << 32, (1 << 32) + 12_345, 0x9e37_79b9_7f4a_7c15, 1 << 63, u64::MAX - (1 << 20)] {
            let expected = 64.0 - (hash as f64).log2();
            let got = negative_log2(hash) as f64 / scale;
            assert!((got - expected).abs() < 1e-12, "{hash}: {got} is not {expected}");
        }
        assert_eq!(negative_log2(1), 64 << 48);
        assert_eq!(negative_log2(1 << 63), 1 << 48);
        assert!(negative_log2(u64::MAX) <= 1);
    }

    #[test]
    fn the_logarithm_never_rises_with_the_hash() {
        let mut previous = u64::MAX;
        for step in 0..10_000u64 {
            let log = negative_log2(step * (u64::MAX / 10_000));
            assert!(log <= previous);
            previous = log;
        }
    }

    /// Golden: changing how nodes are drawn would move shards of everything written before.
    #[test]
    fn draws_are_the_same_on_every_machine_and_in_every_version() {
        let seed = PlacementSeed::from_bytes([1; 32]);
        let draws: Vec<u64> =
            (0..3u8).map(|node| Draw::new(&seed, &NodeId::from_public_key([node; 32]), 1).exponential).collect();
        assert_eq!(draws, [76_049_870_261_784, 521_853_428_620_209, 138_356_139_301_050]);
    }

    #[test]
    fn a_node_wins_in_proportion_to_its_capacity() {
        let capacities = [1u64 << 40, 2 << 40, 5 << 40];
        let rounds = 40_000u32;
        let mut wins = [0u32; 3];
        for round in 0..rounds {
            let seed = PlacementSeed::from_bytes(*blake3::hash(&round.to_be_bytes()).as_bytes());
            let nodes = (0u8..).zip(capacities);
            let winner = nodes
                .map(|(node, capacity)| (Draw::new(&seed, &NodeId::from_public_key([node; 32]), capacity), node))
                .min()
                .unwrap();
            wins[usize::from(winner.1)] += 1;
        }
        for (win, share) in wins.into_iter().zip([0.125, 0.25, 0.625]) {
            let got = f64::from(win) / f64::from(rounds);
            // Four standard deviations of a binomial share at 40,000 rounds are 0.01 at the most.
            assert!((got - share).abs() < 0.01, "{got} is not {share}");
        }
    }
}
