//! Digests of bodies in flight: MD5 for the entity tag, and whatever else the client claimed or asked for.
//!
//! MD5 and SHA-256 cost more than everything else on the way of a PUT, so nothing is computed that nobody asked for, and
//! where both are wanted they run fused: block by block over the same 64 bytes while they are in a register's reach.

use crc_fast::CrcAlgorithm;
use sha1::Sha1;
use sha2::Digest as _;
use sha2::Sha256;

use super::error::Error;
use super::request::{Checksum, ChecksumAlgorithm, ExpectedDigests};

/// What a body hashed to, after every claim about it was found true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digested {
    /// MD5 of the whole body.
    pub md5: [u8; 16],
    /// The checksum that the client claimed or asked for.
    pub checksum: Option<Checksum>,
}

/// Digests a body while it streams. Synchronous: run it where computing does not hold up the network.
pub struct BodyDigests {
    base: Base,
    checksum: Option<Running>,
    received: u64,
}

/// MD5 alone, or with SHA-256 beside it.
enum Base {
    Md5(fast_md5::Md5),
    Fused(Box<Fused>),
}

/// A checksum other than SHA-256, which [`Base`] computes.
enum Running {
    Crc(ChecksumAlgorithm, crc_fast::Digest),
    Sha1(Sha1),
    Sha256,
}

impl BodyDigests {
    /// Begins: MD5 always, SHA-256 where its digest is claimed, and the checksum algorithm that is claimed or announced.
    #[must_use]
    pub fn new(expected: &ExpectedDigests) -> Self {
        let algorithm = expected.checksum.as_ref().map(|checksum| checksum.algorithm).or(expected.algorithm);
        let checksum = algorithm.map(Running::new);
        let fused = expected.sha256.is_some() || matches!(checksum, Some(Running::Sha256));
        let base = if fused { Base::Fused(Box::default()) } else { Base::Md5(fast_md5::Md5::new()) };
        Self { base, checksum, received: 0 }
    }

    /// Takes the next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        // On every target that Domicile builds for, usize fits into u64.
        self.received = self.received.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        match &mut self.base {
            Base::Md5(md5) => md5.update(bytes),
            Base::Fused(fused) => fused.update(bytes),
        }
        match &mut self.checksum {
            Some(Running::Crc(_, crc)) => crc.update(bytes),
            Some(Running::Sha1(sha1)) => sha1.update(bytes),
            Some(Running::Sha256) | None => {}
        }
    }

    /// Bytes taken so far.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Ends the body, reads the trailer where one was announced, and compares every claim with the bytes.
    ///
    /// # Errors
    /// [`Error::BadDigest`] where a claim is not true, [`Error::InvalidRequest`] where the trailer is malformed, missing or
    /// of another algorithm than announced.
    pub fn finish(self, expected: ExpectedDigests) -> Result<Digested, Error> {
        let (md5, sha256) = match self.base {
            Base::Md5(md5) => (md5.finalize(), None),
            Base::Fused(fused) => {
                let (md5, sha256) = fused.finish();
                (md5, Some(sha256))
            }
        };
        let checksum = self.checksum.map(|running| running.finish(sha256.as_ref()));
        if expected.md5.is_some_and(|claim| claim != md5) {
            return Err(Error::BadDigest { claim: "Content-MD5" });
        }
        if expected.sha256.is_some_and(|claim| Some(claim) != sha256) {
            return Err(Error::BadDigest { claim: "x-amz-content-sha256" });
        }
        if let Some(claim) = &expected.checksum {
            compare(claim, checksum.as_ref())?;
        }
        if let Some(reader) = expected.trailer
            && let Some(claim) = reader().map_err(Error::InvalidRequest)?
        {
            compare(&claim, checksum.as_ref())?;
        }
        Ok(Digested { md5, checksum })
    }
}

fn compare(claim: &Checksum, computed: Option<&Checksum>) -> Result<(), Error> {
    match computed {
        Some(computed) if computed == claim => Ok(()),
        Some(computed) if computed.algorithm == claim.algorithm => {
            Err(Error::BadDigest { claim: claim.algorithm.header() })
        }
        _ => Err(Error::InvalidRequest(format!(
            "the body came with {}, which was not the algorithm announced",
            claim.algorithm.header()
        ))),
    }
}

impl Running {
    fn new(algorithm: ChecksumAlgorithm) -> Self {
        match crc_of(algorithm) {
            Some(crc) => Self::Crc(algorithm, crc_fast::Digest::new(crc)),
            None if algorithm == ChecksumAlgorithm::Sha1 => Self::Sha1(Sha1::new()),
            None => Self::Sha256,
        }
    }

    fn finish(self, sha256: Option<&[u8; 32]>) -> Checksum {
        match self {
            Self::Crc(algorithm, crc) => crc_checksum(algorithm, crc.finalize()),
            Self::Sha1(sha1) => {
                Checksum { algorithm: ChecksumAlgorithm::Sha1, value: sha1.finalize().as_slice().to_vec() }
            }
            Self::Sha256 => {
                let value = sha256.map(|digest| digest.to_vec()).unwrap_or_default();
                Checksum { algorithm: ChecksumAlgorithm::Sha256, value }
            }
        }
    }
}

impl ChecksumAlgorithm {
    /// The header that carries a checksum of this algorithm.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Bytes of a value.
    #[must_use]
    pub const fn value_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Whether the checksum of a whole can be had from those of its parts (Amazon S3's user guide, "Checking object
    /// integrity": FULL_OBJECT is for the CRCs).
    #[must_use]
    pub const fn is_linear(self) -> bool {
        matches!(self, Self::Crc32 | Self::Crc32c | Self::Crc64Nvme)
    }
}

fn crc_of(algorithm: ChecksumAlgorithm) -> Option<CrcAlgorithm> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
        ChecksumAlgorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
        ChecksumAlgorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
        ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256 => None,
    }
}

fn crc_checksum(algorithm: ChecksumAlgorithm, crc: u64) -> Checksum {
    let bytes = crc.to_be_bytes();
    let value = bytes.iter().copied().skip(bytes.len().saturating_sub(algorithm.value_bytes())).collect();
    Checksum { algorithm, value }
}

fn crc_value(checksum: &Checksum) -> u64 {
    checksum.value.iter().fold(0, |crc, byte| (crc << 8) | u64::from(*byte))
}

/// The COMPOSITE checksum of a multipart object: the checksum of its parts' checksums, one after the other.
#[must_use]
pub fn composite_checksum(algorithm: ChecksumAlgorithm, parts: &[Checksum]) -> Checksum {
    let all: Vec<u8> = parts.iter().flat_map(|part| part.value.iter().copied()).collect();
    let value = match crc_of(algorithm) {
        Some(crc) => return crc_checksum(algorithm, crc_fast::checksum(crc, &all)),
        None if algorithm == ChecksumAlgorithm::Sha1 => Sha1::digest(&all).as_slice().to_vec(),
        None => Sha256::digest(&all).as_slice().to_vec(),
    };
    Checksum { algorithm, value }
}

/// The FULL_OBJECT checksum of a multipart object from its parts' checksums and lengths in bytes.
///
/// `None` where there are no parts, a part has another algorithm, or the algorithm does not allow it.
#[must_use]
pub fn full_object_checksum(algorithm: ChecksumAlgorithm, parts: &[(Checksum, u64)]) -> Option<Checksum> {
    let crc = crc_of(algorithm)?;
    if parts.is_empty() || parts.iter().any(|(part, _)| part.algorithm != algorithm) {
        return None;
    }
    let none = crc_fast::checksum(crc, &[]);
    let whole = parts
        .iter()
        .fold(none, |so_far, (part, bytes)| crc_fast::checksum_combine(crc, so_far, crc_value(part), *bytes));
    Some(crc_checksum(algorithm, whole))
}

/// The entity tag of a multipart object: MD5 over the parts' MD5s, a hyphen, and their number.
#[must_use]
pub fn multipart_etag(parts: &[[u8; 16]]) -> String {
    let all: Vec<u8> = parts.iter().flatten().copied().collect();
    format!("{}-{}", data_encoding::HEXLOWER.encode(&fast_md5::digest(&all)), parts.len())
}

/// MD5 (RFC 1321) and SHA-256 (FIPS 180-4) over the same blocks. Both pad alike, but for the order of the length's bytes.
struct Fused {
    md5: [u32; 4],
    sha256: [u32; 8],
    block: [u8; Self::BLOCK],
    filled: usize,
    bytes: u64,
}

impl Default for Fused {
    fn default() -> Self {
        Self {
            md5: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476],
            sha256: [
                0x6a09_e667,
                0xbb67_ae85,
                0x3c6e_f372,
                0xa54f_f53a,
                0x510e_527f,
                0x9b05_688c,
                0x1f83_d9ab,
                0x5be0_cd19,
            ],
            block: [0; Self::BLOCK],
            filled: 0,
            bytes: 0,
        }
    }
}

impl Fused {
    const BLOCK: usize = 64;
    /// Where the length in bits stands in the last block.
    const LENGTH_AT: usize = 56;

    fn update(&mut self, mut bytes: &[u8]) {
        self.bytes = self.bytes.wrapping_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if self.filled > 0 {
            let (head, rest) = bytes.split_at(bytes.len().min(Self::BLOCK - self.filled));
            for (to, from) in self.block.iter_mut().skip(self.filled).zip(head) {
                *to = *from;
            }
            self.filled += head.len();
            bytes = rest;
            if self.filled < Self::BLOCK {
                return;
            }
            let block = self.block;
            self.compress(&block);
            self.filled = 0;
        }
        let (blocks, rest) = bytes.as_chunks::<{ Self::BLOCK }>();
        for block in blocks {
            self.compress(block);
        }
        for (to, from) in self.block.iter_mut().zip(rest) {
            *to = *from;
        }
        self.filled = rest.len();
    }

    fn compress(&mut self, block: &[u8; Self::BLOCK]) {
        fast_md5::transform(&mut self.md5, block);
        sha2::block_api::compress256(&mut self.sha256, std::slice::from_ref(block));
    }

    fn finish(mut self) -> ([u8; 16], [u8; 32]) {
        let bits = self.bytes.wrapping_mul(8);
        let mut last = [0; Self::BLOCK];
        for (to, from) in last.iter_mut().zip(self.block.iter().take(self.filled).chain(std::iter::once(&0x80))) {
            *to = *from;
        }
        if self.filled >= Self::LENGTH_AT {
            self.compress(&last);
            last = [0; Self::BLOCK];
        }
        let with_length = |length: [u8; 8]| {
            let mut block = last;
            for (to, from) in block.iter_mut().skip(Self::LENGTH_AT).zip(length) {
                *to = from;
            }
            block
        };
        fast_md5::transform(&mut self.md5, &with_length(bits.to_le_bytes()));
        sha2::block_api::compress256(&mut self.sha256, &[with_length(bits.to_be_bytes())]);
        let mut md5 = [0; 16];
        for (to, from) in md5.iter_mut().zip(self.md5.iter().flat_map(|word| word.to_le_bytes())) {
            *to = from;
        }
        let mut sha256 = [0; 32];
        for (to, from) in sha256.iter_mut().zip(self.sha256.iter().flat_map(|word| word.to_be_bytes())) {
            *to = from;
        }
        (md5, sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(expected: ExpectedDigests, pieces: &[&[u8]]) -> Result<Digested, Error> {
        let mut digests = BodyDigests::new(&expected);
        for piece in pieces {
            digests.update(piece);
        }
        digests.finish(expected)
    }

    fn checksum(algorithm: ChecksumAlgorithm, value: Vec<u8>) -> Checksum {
        Checksum { algorithm, value }
    }

    #[test]
    fn fused_digests_equal_the_plain_ones_at_every_length_and_cut() {
        let data: Vec<u8> = (0..300_u32).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect();
        for length in 0..data.len() {
            let data = &data[..length];
            for cut in [0, 1, 55, 56, 63, 64, 65, 129] {
                let (head, tail) = data.split_at(cut.min(length));
                let mut fused = Fused::default();
                fused.update(head);
                fused.update(tail);
                let (md5, sha256) = fused.finish();
                assert_eq!(md5, fast_md5::digest(data), "length {length}, cut {cut}");
                assert_eq!(sha256.as_slice(), Sha256::digest(data).as_slice(), "length {length}, cut {cut}");
            }
        }
    }

    #[test]
    fn checksums_of_the_check_string_are_those_of_the_catalogue() {
        // The CRC catalogue's check values for "123456789"; RFC 3174 and FIPS 180 for the hashes of "abc".
        let check = |algorithm, bytes: &[u8]| {
            let expected = ExpectedDigests { algorithm: Some(algorithm), ..ExpectedDigests::default() };
            digest(expected, &[&bytes[..3], &bytes[3..]]).unwrap().checksum.unwrap().value
        };
        assert_eq!(check(ChecksumAlgorithm::Crc32, b"123456789"), 0xcbf4_3926_u32.to_be_bytes());
        assert_eq!(check(ChecksumAlgorithm::Crc32c, b"123456789"), 0xe306_9283_u32.to_be_bytes());
        assert_eq!(check(ChecksumAlgorithm::Crc64Nvme, b"123456789"), 0xae8b_1486_0a79_9888_u64.to_be_bytes());
        assert_eq!(
            data_encoding::HEXLOWER.encode(&check(ChecksumAlgorithm::Sha1, b"abc")),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(
            data_encoding::HEXLOWER.encode(&check(ChecksumAlgorithm::Sha256, b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_wrong_claim_is_refused_by_its_name() {
        let wrong = [
            (ExpectedDigests { md5: Some([0; 16]), ..ExpectedDigests::default() }, "Content-MD5"),
            (ExpectedDigests { sha256: Some([0; 32]), ..ExpectedDigests::default() }, "x-amz-content-sha256"),
            (
                ExpectedDigests {
                    checksum: Some(checksum(ChecksumAlgorithm::Crc32, vec![0; 4])),
                    ..ExpectedDigests::default()
                },
                "x-amz-checksum-crc32",
            ),
        ];
        for (expected, name) in wrong {
            let refusal = digest(expected, &[b"bytes"]);
            assert!(matches!(refusal, Err(Error::BadDigest { claim }) if claim == name), "{name}");
        }
    }

    #[test]
    fn a_trailing_checksum_is_compared_and_its_algorithm_must_be_the_announced_one() {
        let with_trailer = |claim: Result<Option<Checksum>, String>| ExpectedDigests {
            algorithm: Some(ChecksumAlgorithm::Crc32),
            trailer: Some(Box::new(move || claim)),
            ..ExpectedDigests::default()
        };
        let good = checksum(ChecksumAlgorithm::Crc32, 0xcbf4_3926_u32.to_be_bytes().to_vec());
        assert_eq!(digest(with_trailer(Ok(Some(good.clone()))), &[b"123456789"]).unwrap().checksum, Some(good.clone()));
        assert!(matches!(digest(with_trailer(Ok(Some(good))), &[b"12345678"]), Err(Error::BadDigest { .. })));
        let other = checksum(ChecksumAlgorithm::Crc32c, vec![0; 4]);
        assert!(matches!(digest(with_trailer(Ok(Some(other))), &[b"1"]), Err(Error::InvalidRequest(_))));
        assert!(matches!(digest(with_trailer(Err("no trailer".into())), &[b"1"]), Err(Error::InvalidRequest(_))));
    }

    #[test]
    fn the_checksum_of_a_whole_follows_from_its_parts() {
        for algorithm in [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32c, ChecksumAlgorithm::Crc64Nvme] {
            let of = |bytes: &[u8]| {
                let expected = ExpectedDigests { algorithm: Some(algorithm), ..ExpectedDigests::default() };
                digest(expected, &[bytes]).unwrap().checksum.unwrap()
            };
            let parts = [(of(b"one"), 3), (of(b""), 0), (of(b"and two"), 7)];
            assert_eq!(full_object_checksum(algorithm, &parts), Some(of(b"oneand two")));
        }
        assert_eq!(full_object_checksum(ChecksumAlgorithm::Sha256, &[]), None);
    }

    #[test]
    fn a_composite_checksum_is_that_of_the_parts_checksums() {
        let parts =
            [checksum(ChecksumAlgorithm::Sha256, vec![1; 32]), checksum(ChecksumAlgorithm::Sha256, vec![2; 32])];
        let both = [[1; 32], [2; 32]].concat();
        assert_eq!(composite_checksum(ChecksumAlgorithm::Sha256, &parts).value, Sha256::digest(both).as_slice());
    }

    #[test]
    fn the_tag_of_a_multipart_object_counts_its_parts() {
        let parts = [fast_md5::digest(b"a"), fast_md5::digest(b"b")];
        let tag = multipart_etag(&parts);
        assert!(tag.ends_with("-2") && tag.len() == 34, "{tag}");
    }
}
