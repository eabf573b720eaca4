//! The chunker's parts by themselves: each straight from the crate that does it, over the same bytes, nothing else.

use std::hint::black_box;

use anyhow::{Result, anyhow, ensure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use domicile_chunker::{CHUNK_BYTES, CODED_CHUNK_BYTES, SHARD_BYTES_MAX, TAG_BYTES, segment_bytes_max};
use domicile_types::{CodeProfile, SuiteId};
use rustfs_erasure_codec::galois_8::ReedSolomon;

/// How much of all shards is coded at once, so that it stays in a second-level cache of 2 MiB: as the chunker does.
const STRIP_BYTES_ALL_SHARDS: usize = 1 << 20;

/// A cipher with a key of its own.
enum Cipher {
    ChaCha(Box<ChaCha20Poly1305>),
    AesGcm(Box<LessSafeKey>),
}

/// The parts, with their bytes.
pub(crate) struct Parts<'a> {
    profile: CodeProfile,
    cipher: Cipher,
    machine: ReedSolomon,
    /// Plaintext, a whole number of segments.
    plain: &'a [u8],
    /// What a segment encrypts to: its data shards. Used again for every segment, as the chunker's pool does.
    coded: Vec<u8>,
    /// The parity of one segment.
    parity: Vec<u8>,
    /// The plaintext of one segment.
    opened: Vec<u8>,
}

impl<'a> Parts<'a> {
    /// Parts of `plain`, a whole number of full segments of `profile`.
    pub(crate) fn new(profile: CodeProfile, suite: SuiteId, plain: &'a [u8]) -> Result<Self> {
        let key = [7; 32];
        let cipher = match suite {
            SuiteId::ChaCha20Poly1305 => Cipher::ChaCha(Box::new(ChaCha20Poly1305::new((&key).into()))),
            SuiteId::Aes256Gcm => {
                let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| anyhow!("AES-256-GCM takes 32 bytes"))?;
                Cipher::AesGcm(Box::new(LessSafeKey::new(key)))
            }
        };
        let machine = ReedSolomon::new(profile.k(), profile.m()).map_err(|error| anyhow!("{profile}: {error:?}"))?;
        ensure!(plain.len().is_multiple_of(segment_bytes_max(profile)), "segments are whole");
        let mut parts = Self {
            profile,
            cipher,
            machine,
            plain,
            coded: vec![0; profile.k() * SHARD_BYTES_MAX],
            parity: vec![0; profile.m() * SHARD_BYTES_MAX],
            opened: vec![0; segment_bytes_max(profile)],
        };
        parts.seal()?;
        Ok(parts)
    }

    /// Encrypts every chunk. Nonces repeat from segment to segment, which costs the same and protects nothing here.
    pub(crate) fn seal(&mut self) -> Result<()> {
        for segment in self.plain.chunks_exact(self.opened.len()) {
            let chunks = segment.chunks_exact(CHUNK_BYTES).zip(self.coded.chunks_exact_mut(CODED_CHUNK_BYTES));
            for (number, (plain, coded)) in chunks.enumerate() {
                self.cipher.seal(number, plain, coded)?;
            }
        }
        Ok(())
    }

    /// Decrypts as many chunks.
    pub(crate) fn open(&mut self) -> Result<()> {
        for _ in 0..self.segments() {
            let chunks = self.coded.chunks_exact(CODED_CHUNK_BYTES).zip(self.opened.chunks_exact_mut(CHUNK_BYTES));
            for (number, (coded, plain)) in chunks.enumerate() {
                self.cipher.open(number, coded, plain)?;
            }
        }
        Ok(())
    }

    /// Computes the parity of as many segments, strip by strip.
    pub(crate) fn code(&mut self) -> Result<()> {
        let strip_bytes = STRIP_BYTES_ALL_SHARDS / self.profile.n() / 64 * 64;
        for _ in 0..self.segments() {
            for start in (0..SHARD_BYTES_MAX).step_by(strip_bytes) {
                let strip = start..SHARD_BYTES_MAX.min(start + strip_bytes);
                let data: Vec<&[u8]> =
                    self.coded.chunks_exact(SHARD_BYTES_MAX).filter_map(|shard| shard.get(strip.clone())).collect();
                let shards = self.parity.chunks_exact_mut(SHARD_BYTES_MAX);
                let mut parity: Vec<&mut [u8]> = shards.filter_map(|shard| shard.get_mut(strip.clone())).collect();
                self.machine.encode_sep(&data, &mut parity).map_err(|error| anyhow!("coding failed: {error:?}"))?;
            }
        }
        Ok(())
    }

    /// Hashes every shard of as many segments, data and parity.
    pub(crate) fn name(&mut self) -> Result<()> {
        for _ in 0..self.segments() {
            for shard in self.coded.chunks_exact(SHARD_BYTES_MAX).chain(self.parity.chunks_exact(SHARD_BYTES_MAX)) {
                black_box(blake3::hash(shard));
            }
        }
        Ok(())
    }

    fn segments(&self) -> usize {
        self.plain.len() / self.opened.len()
    }
}

impl Cipher {
    fn seal(&self, number: usize, plain: &[u8], coded: &mut [u8]) -> Result<()> {
        let (body, tag) = coded.split_at_mut(plain.len());
        match self {
            Self::ChaCha(cipher) => {
                let buffer = InOutBuf::new(plain, body).map_err(|_| anyhow!("lengths differ"))?;
                let computed = cipher.encrypt_inout_detached(&nonce(number).into(), b"", buffer);
                tag.copy_from_slice(&computed.map_err(|_| anyhow!("a chunk is too long"))?);
            }
            Self::AesGcm(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce(number));
                let sealed = key.seal_out_of_place_scatter(nonce, Aad::empty(), plain, body, &[], tag);
                sealed.map_err(|_| anyhow!("a chunk is too long"))?;
            }
        }
        Ok(())
    }

    fn open(&self, number: usize, coded: &[u8], plain: &mut [u8]) -> Result<()> {
        let (body, tag) = coded.split_at(coded.len() - TAG_BYTES);
        let forged = || anyhow!("chunk {number} does not open");
        match self {
            Self::ChaCha(cipher) => {
                let tag: [u8; TAG_BYTES] = tag.try_into()?;
                let buffer = InOutBuf::new(body, plain).map_err(|_| forged())?;
                cipher.decrypt_inout_detached(&nonce(number).into(), b"", buffer, &tag.into()).map_err(|_| forged())
            }
            Self::AesGcm(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce(number));
                key.open_separate_gather(nonce, Aad::empty(), body, tag, plain).map_err(|_| forged())
            }
        }
    }
}

/// Number of the chunk, counted up.
fn nonce(number: usize) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce.iter_mut().zip(number.to_le_bytes()).for_each(|(byte, from)| *byte = from);
    nonce
}
