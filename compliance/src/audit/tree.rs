//! The Merkle tree of RFC 6962 section 2.1, with SHA-256.
//!
//! ```text
//! MTH({})        = SHA-256()
//! MTH({d0})      = SHA-256(0x00 || d0)
//! MTH(D[0:n])    = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n])),  k the largest power of two below n
//! ```
//!
//! Every hash that a root or a proof needs is built from *complete nodes*: node `(level, index)` covers the leaves
//! `[index * 2^level, (index + 1) * 2^level)`. Where they come from is a [`NodeSource`]: the edge of the tree in memory
//! ([`EdgeTree`]) or tiles on disk (`tile::TileReader`).

use std::collections::VecDeque;
use std::fmt;

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

/// A SHA-256 hash in the tree. Text form: base64, as every C2SP specification has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash([u8; 32]);

impl TreeHash {
    /// Bytes of one hash.
    pub const BYTES: usize = 32;

    /// From a digest.
    #[must_use]
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses the base64 of 32 bytes, in its one canonical form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        BASE64.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// The hash of a leaf's bytes.
    #[must_use]
    pub fn of_leaf(leaf: &[u8]) -> Self {
        Self(Sha256::new().chain_update([0x00]).chain_update(leaf).finalize().into())
    }

    /// The hash of two subtrees side by side.
    #[must_use]
    pub fn of_children(left: &Self, right: &Self) -> Self {
        Self(Sha256::new().chain_update([0x01]).chain_update(left.0).chain_update(right.0).finalize().into())
    }

    /// The root of the tree without leaves.
    #[must_use]
    pub fn of_nothing() -> Self {
        Self(Sha256::new().finalize().into())
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeHash({self})")
    }
}

/// Whence the hashes of complete nodes come.
pub trait NodeSource {
    /// Why a node cannot be had.
    type Error;

    /// The hash of complete node `index` at `level` (0 = leaves).
    fn node(&self, level: u32, index: u64) -> Result<TreeHash, Self::Error>;
}

/// The root of the first `size` leaves.
pub fn root<S: NodeSource>(size: u64, source: &S) -> Result<TreeHash, S::Error> {
    if size == 0 { Ok(TreeHash::of_nothing()) } else { span_hash(0, size, source) }
}

/// RFC 6962 section 2.1.1: the audit path of leaf `index` in the tree of `size`, from the leaf's sibling upwards.
/// Empty where `index >= size`.
pub fn inclusion_path<S: NodeSource>(index: u64, size: u64, source: &S) -> Result<Vec<TreeHash>, S::Error> {
    let mut path = Vec::new();
    if index >= size {
        return Ok(path);
    }
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(span_hash(middle, end, source)?);
            end = middle;
        } else {
            path.push(span_hash(start, middle, source)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// RFC 6962 section 2.1.2: the proof that the tree of `size` begins with the tree of `old_size`.
/// Empty where either is the whole of the other, or `old_size` is 0 or more than `size`.
pub fn consistency_path<S: NodeSource>(old_size: u64, size: u64, source: &S) -> Result<Vec<TreeHash>, S::Error> {
    let mut path = Vec::new();
    if old_size == 0 || old_size >= size {
        return Ok(path);
    }
    let (mut start, mut end, mut is_old_tree) = (0, size, true);
    while old_size != end {
        let middle = start + split(end - start);
        if old_size <= middle {
            path.push(span_hash(middle, end, source)?);
            end = middle;
        } else {
            path.push(span_hash(start, middle, source)?);
            start = middle;
            is_old_tree = false;
        }
    }
    if !is_old_tree {
        path.push(span_hash(start, end, source)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` proves that `leaf` is leaf `index` of the tree of `size` with root `root` (RFC 9162 section 2.1.3.2).
#[must_use]
pub fn inclusion_holds(leaf: &TreeHash, index: u64, size: u64, path: &[TreeHash], root: &TreeHash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = TreeHash::of_children(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = TreeHash::of_children(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `path` proves that the tree of `size` with root `root` begins with the tree of `old_size` with root
/// `old_root` (RFC 9162 section 2.1.4.2).
#[must_use]
pub fn consistency_holds(old_size: u64, old_root: &TreeHash, size: u64, root: &TreeHash, path: &[TreeHash]) -> bool {
    if old_size > size {
        return false;
    }
    if old_size == size {
        return path.is_empty() && old_root == root;
    }
    if old_size == 0 {
        return path.is_empty() && *old_root == TreeHash::of_nothing();
    }
    let mut rest = path.iter();
    let (mut node, mut last) = (old_size - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    // The old tree is itself a complete node exactly when nothing is left of `node`; then the path omits it.
    let Some(first) = (if node == 0 { Some(old_root) } else { rest.next() }) else { return false };
    let (mut old_hash, mut hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = TreeHash::of_children(sibling, &old_hash);
            hash = TreeHash::of_children(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = TreeHash::of_children(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && hash == *root
}

/// The right edge of a growing tree: all that is needed to add leaves, to name the root, and to prove every leaf that
/// has not been forgotten. Memory: 64 bytes per remembered leaf and 64 per level.
#[derive(Debug, Clone, Default)]
pub struct EdgeTree {
    size: u64,
    levels: Vec<EdgeLevel>,
}

#[derive(Debug, Clone, Default)]
struct EdgeLevel {
    /// Index of the first node that is remembered.
    first: u64,
    nodes: VecDeque<TreeHash>,
}

/// A node of an [`EdgeTree`] that was forgotten, or that does not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("node {index} at level {level} of the tree is not in memory")]
pub struct NotRemembered {
    /// Height above the leaves.
    pub level: u32,
    /// Position in its level.
    pub index: u64,
}

impl EdgeTree {
    /// The number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: TreeHash) {
        let (mut hash, mut index) = (leaf, self.size);
        self.size += 1;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(EdgeLevel::default());
            }
            let Some(nodes) = self.levels.get_mut(level) else { return };
            let left = if index & 1 == 1 { nodes.nodes.back().copied() } else { None };
            nodes.nodes.push_back(hash);
            let Some(left) = left else { return };
            hash = TreeHash::of_children(&left, &hash);
            index >>= 1;
        }
    }

    /// The root of all leaves.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        root(self.size, self).unwrap_or_else(|missing| unreachable!("an edge always holds its own root: {missing}"))
    }

    /// Drops what is needed only for proofs of leaves before `leaf`.
    pub fn forget_before(&mut self, leaf: u64) {
        let leaf = leaf.min(self.size);
        for (level, nodes) in self.levels.iter_mut().enumerate() {
            // Keep from the even sibling on: it is what an odd node at the edge will be hashed with.
            let keep = (leaf >> level) & !1;
            while nodes.first < keep && nodes.nodes.pop_front().is_some() {
                nodes.first += 1;
            }
        }
    }
}

impl NodeSource for EdgeTree {
    type Error = NotRemembered;

    fn node(&self, level: u32, index: u64) -> Result<TreeHash, NotRemembered> {
        let find = || {
            let nodes = self.levels.get(usize::try_from(level).ok()?)?;
            nodes.nodes.get(usize::try_from(index.checked_sub(nodes.first)?).ok()?).copied()
        };
        find().ok_or(NotRemembered { level, index })
    }
}

/// The hash of the leaves `[start, end)`, which must be a span that RFC 6962 hashes as one: `start` a multiple of the
/// power of two not below `end - start`.
fn span_hash<S: NodeSource>(start: u64, end: u64, source: &S) -> Result<TreeHash, S::Error> {
    let mut complete = Vec::new();
    let mut at = start;
    while at < end {
        let level = (end - at).ilog2();
        complete.push(source.node(level, at >> level)?);
        at += 1 << level;
    }
    let mut hash = complete.pop().unwrap_or_else(TreeHash::of_nothing);
    while let Some(left) = complete.pop() {
        hash = TreeHash::of_children(&left, &hash);
    }
    Ok(hash)
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

#[cfg(test)]
#[allow(clippy::as_conversions, reason = "the counts of tests are small")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: u64) -> Vec<TreeHash> {
        (0..count).map(|i| TreeHash::of_leaf(&i.to_be_bytes())).collect()
    }

    fn tree(count: u64) -> EdgeTree {
        let mut tree = EdgeTree::default();
        leaves(count).into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }

    /// RFC 6962 section 2.1, word for word.
    fn slow_root(leaves: &[TreeHash]) -> TreeHash {
        match leaves {
            [] => TreeHash::of_nothing(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(usize::try_from(split(leaves.len() as u64)).unwrap());
                TreeHash::of_children(&slow_root(left), &slow_root(right))
            }
        }
    }

    fn oracle(count: u64) -> ct_merkle::mem_backed_tree::MemoryBackedTree<Oracle, Vec<u8>> {
        let mut tree = ct_merkle::mem_backed_tree::MemoryBackedTree::new();
        (0..count).for_each(|i| tree.push(i.to_be_bytes().to_vec()));
        tree
    }

    type Oracle = sha2::Sha256;

    #[test]
    fn roots_are_those_of_the_definition() {
        for count in 0..70 {
            assert_eq!(tree(count).root(), slow_root(&leaves(count)), "{count}");
        }
    }

    #[test]
    fn a_tree_that_forgot_still_grows_and_proves_what_it_kept() {
        let all = leaves(3000);
        let mut edge = EdgeTree::default();
        for (index, leaf) in all.iter().enumerate() {
            edge.push(*leaf);
            if index % 37 == 0 {
                edge.forget_before(index as u64);
            }
        }
        let root = edge.root();
        assert_eq!(root, tree(3000).root());
        for index in 2997..3000 {
            let path = inclusion_path(index, 3000, &edge).unwrap();
            assert!(inclusion_holds(&all[index as usize], index, 3000, &path, &root));
        }
        assert!(edge.levels.iter().map(|level| level.nodes.len()).sum::<usize>() < 200);
        assert!(inclusion_path(5, 3000, &edge).is_err());
    }

    proptest! {
        #[test]
        fn roots_and_paths_equal_those_of_ct_merkle(size in 1u64..600, seed in any::<u64>()) {
            let (index, old) = (seed % size, seed % (size + 1));
            let (ours, theirs) = (tree(size), oracle(size));
            prop_assert_eq!(ours.root().digest().to_vec(), theirs.root().as_bytes().to_vec());
            let path: Vec<u8> =
                inclusion_path(index, size, &ours).unwrap().iter().flat_map(|hash| *hash.digest()).collect();
            let proof = theirs.prove_inclusion(usize::try_from(index).unwrap());
            prop_assert_eq!(&path[..], proof.as_bytes());
            if old > 0 && old < size {
                let path: Vec<u8> =
                    consistency_path(old, size, &ours).unwrap().iter().flat_map(|hash| *hash.digest()).collect();
                let proof = theirs.prove_consistency(usize::try_from(size - old).unwrap());
                prop_assert_eq!(&path[..], proof.as_bytes());
            }
        }

        #[test]
        fn every_path_holds_and_no_altered_one_does(size in 1u64..600, seed in any::<u64>(), bit in 0usize..256) {
            let (index, old) = (seed % size, seed % (size + 1));
            let (all, tree_now, tree_then) = (leaves(size), tree(size), tree(old));
            let (root, old_root) = (tree_now.root(), tree_then.root());
            let leaf = all[usize::try_from(index).unwrap()];
            let path = inclusion_path(index, size, &tree_now).unwrap();
            prop_assert!(inclusion_holds(&leaf, index, size, &path, &root));
            let consistency = consistency_path(old, size, &tree_now).unwrap();
            prop_assert!(consistency_holds(old, &old_root, size, &root, &consistency));

            let flip = |hash: &TreeHash| {
                let mut digest = *hash.digest();
                digest[bit / 8] ^= 1 << (bit % 8);
                TreeHash::from_digest(digest)
            };
            prop_assert!(!inclusion_holds(&flip(&leaf), index, size, &path, &root));
            prop_assert!(!inclusion_holds(&leaf, index, size, &path, &flip(&root)));
            prop_assert!(!inclusion_holds(&leaf, size, size, &path, &root));
            if size > 1 {
                prop_assert!(!inclusion_holds(&leaf, (index + 1) % size, size, &path, &root));
                prop_assert!(!inclusion_holds(&leaf, index, size, &path[1..], &root));
            }
            prop_assert!(!consistency_holds(old, &flip(&old_root), size, &root, &consistency));
            if old > 0 {
                prop_assert!(!consistency_holds(old, &old_root, size, &flip(&root), &consistency));
            }
            for at in 0..path.len() {
                let mut altered = path.clone();
                altered[at] = flip(&altered[at]);
                prop_assert!(!inclusion_holds(&leaf, index, size, &altered, &root));
            }
            for at in 0..consistency.len() {
                let mut altered = consistency.clone();
                altered[at] = flip(&altered[at]);
                prop_assert!(!consistency_holds(old, &old_root, size, &root, &altered));
            }
        }
    }
}
