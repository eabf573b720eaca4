//! Published vectors of C2SP chunked-encryption v1, run against the code that segments use.
//!
//! The scheme is generic over hash and AEAD. The large published set is instantiated with SHA-256 (three AEADs, 27 good and 75
//! bad messages), so only the hash of the key derivation differs here; what SHA-512 gives is held against an independent
//! implementation by the golden segments and `cobblestone-256.json`.

use aws_lc_rs::aead::AES_128_GCM;
use data_encoding::{BASE64, HEXLOWER};
use serde::Deserialize;

use super::*;
use crate::layout::{CHUNK_BYTES, CODED_CHUNK_BYTES};

const FILE: &str = include_str!("../testdata/c2sp-chunked-encryption.json");
const HEAD_BYTES: usize = SALT_BYTES + COMMITMENT_BYTES;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(default)]
    name: String,
    #[serde(default)]
    aead: String,
    #[serde(default)]
    expect: String,
    key: Option<String>,
    aead_key: Option<String>,
    base_nonce: Option<String>,
    context: Option<String>,
    ciphertext: Option<String>,
    #[serde(default)]
    compressed: bool,
    payload_sha256: Option<String>,
    payload_length: Option<usize>,
}

/// Why a message does not open.
#[derive(Debug, PartialEq)]
enum Fault {
    KeyLength,
    ShortHead,
    Commitment,
    Truncated,
    Forged { chunk: usize },
}

fn derive(vector: &Vector, salt: &[u8; SALT_BYTES]) -> Result<MessageKey, Fault> {
    let key = hex(&vector.key);
    let context = vector.context.clone().unwrap_or_default().into_bytes();
    let fits = key.len() == if vector.aead == "AEAD_AES_128_GCM" { 16 } else { 32 };
    if !fits {
        return Err(Fault::KeyLength);
    }
    let okm = Derived::new(expand_sha256, &vector.aead, &key, salt, &context);
    Ok(match vector.aead.as_str() {
        "AEAD_AES_128_GCM" => MessageKey::new(&AES_128_GCM, &okm),
        "AEAD_AES_256_GCM" => MessageKey::new(&AES_256_GCM, &okm),
        "AEAD_CHACHA20_POLY1305" => MessageKey::new(&CHACHA20_POLY1305, &okm),
        other => panic!("unknown suite {other}"),
    })
}

fn expand_sha256(key: &[u8], info: &[&[u8]], output: &mut [u8]) {
    let padded = [key, &[0; 16]].concat();
    hkdf::Hkdf::<sha2::Sha256>::from_prk(&padded).unwrap().expand_multi_info(info, output).unwrap();
}

/// Opens a whole message as the specification lays it out: head, chunks, the final one always short.
fn open(vector: &Vector, message: &[u8]) -> Result<Vec<u8>, Fault> {
    open_with(|salt| derive(vector, salt), message)
}

fn open_with(
    derive: impl FnOnce(&[u8; SALT_BYTES]) -> Result<MessageKey, Fault>,
    message: &[u8],
) -> Result<Vec<u8>, Fault> {
    let (head, body) = message.split_at_checked(HEAD_BYTES).ok_or(Fault::ShortHead)?;
    let (salt, commitment) = head.split_at(SALT_BYTES);
    let key = derive(salt.try_into().unwrap())?;
    if !key.is_committed_to(commitment.try_into().unwrap()) {
        return Err(Fault::Commitment);
    }
    let mut plaintext = Vec::new();
    let (mut rest, mut chunk) = (body, 0);
    loop {
        let (coded, tail) = rest.split_at(rest.len().min(CODED_CHUNK_BYTES));
        let length = coded.len().checked_sub(TAG_BYTES).ok_or(Fault::Truncated)?;
        let start = plaintext.len();
        plaintext.resize(start + length, 0);
        key.open_chunk(chunk, coded, &mut plaintext[start..]).map_err(|_| Fault::Forged { chunk })?;
        (rest, chunk) = (tail, chunk + 1);
        if length < CHUNK_BYTES {
            return if rest.is_empty() { Ok(plaintext) } else { Err(Fault::Truncated) };
        }
    }
}

fn seal(key: &MessageKey, salt: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut message = [salt, key.commitment()].concat();
    for chunk in 0..=plaintext.len() / CHUNK_BYTES {
        let plain = &plaintext[chunk * CHUNK_BYTES..plaintext.len().min((chunk + 1) * CHUNK_BYTES)];
        let mut coded = vec![0; plain.len() + TAG_BYTES];
        key.seal_chunk(chunk, plain, &mut coded);
        message.extend_from_slice(&coded);
    }
    message
}

fn hex(text: &Option<String>) -> Vec<u8> {
    HEXLOWER.decode(text.as_deref().unwrap_or_default().as_bytes()).unwrap()
}

#[test]
fn every_published_vector_gives_its_published_result() {
    let file: File = serde_json::from_str(FILE).unwrap();
    let mut count = (0, 0);
    for vector in &file.vectors {
        let name = &vector.name;
        let mut message = BASE64.decode(vector.ciphertext.as_deref().unwrap_or_default().as_bytes()).unwrap();
        if vector.compressed {
            message = miniz_oxide::inflate::decompress_to_vec_zlib(&message).unwrap();
        }
        match vector.expect.as_str() {
            "success" => {
                count.0 += 1;
                let plaintext = open(vector, &message).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
                assert_eq!(Some(plaintext.len()), vector.payload_length, "{name}");
                let digest = <sha2::Sha256 as sha2::Digest>::digest(&plaintext);
                assert_eq!(digest[..], hex(&vector.payload_sha256), "{name}");
                let salt: [u8; SALT_BYTES] = message[..SALT_BYTES].try_into().unwrap();
                let key = derive(vector, &salt).unwrap();
                assert_eq!(key.base_nonce[..], hex(&vector.base_nonce), "{name}");
                let derived = Derived::new(
                    expand_sha256,
                    &vector.aead,
                    &hex(&vector.key),
                    &salt,
                    vector.context.as_deref().unwrap_or_default().as_bytes(),
                );
                assert!(derived.key.starts_with(&hex(&vector.aead_key)), "{name}");
                assert!(seal(&key, &salt, &plaintext) == message, "{name}: sealing gives other bytes");
            }
            "failure" => {
                count.1 += 1;
                let fault = open(vector, &message).expect_err(name);
                let (_, case) = name.split_once('_').unwrap();
                let expected = match case {
                    "short_key" | "long_key" => fault == Fault::KeyLength,
                    "wrong_commitment" | "wrong_key" | "wrong_context" | "wrong_salt" => fault == Fault::Commitment,
                    case if case.starts_with("short_header") || case == "empty_message" => fault == Fault::ShortHead,
                    "missing_tag" | "short_chunk" | "no_chunks" | "truncated_at_chunk_boundary" => {
                        matches!(fault, Fault::Truncated | Fault::Forged { .. })
                    }
                    _ => matches!(fault, Fault::Forged { .. } | Fault::Truncated),
                };
                assert!(expected, "{name} gave {fault:?}");
            }
            other => panic!("{name} expects {other}"),
        }
    }
    assert_eq!(count, (27, 75));
}

#[test]
fn messages_of_another_implementation_of_cobblestone_256_open_and_seal_alike() {
    let file: File = serde_json::from_str(include_str!("../testdata/cobblestone-256.json")).unwrap();
    assert_eq!(file.vectors.len(), 4);
    for vector in &file.vectors {
        let message = BASE64.decode(vector.ciphertext.as_deref().unwrap().as_bytes()).unwrap();
        let salt: [u8; SALT_BYTES] = message[..SALT_BYTES].try_into().unwrap();
        let context = vector.context.as_deref().unwrap().as_bytes();
        let key = MessageKey::derive(SuiteId::Aes256Gcm, &hex(&vector.key).try_into().unwrap(), &salt, context);
        let plaintext: Vec<u8> =
            (0..vector.payload_length.unwrap()).map(|i| u8::try_from((i + (i >> 8)) & 255).unwrap()).collect();
        assert!(seal(&key, &salt, &plaintext) == message);
        assert!(open_with(|_| Ok(key), &message).unwrap() == plaintext);
    }
}

/// The default suite by another implementation, at every kind of chunk length.
#[test]
fn chunks_are_those_of_the_chacha20poly1305_crate() {
    use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};

    let (key, salt) = ([3; 32], [4; SALT_BYTES]);
    let message = MessageKey::derive(SuiteId::ChaCha20Poly1305, &key, &salt, b"context");
    let derived = Derived::new(expand, SuiteId::ChaCha20Poly1305.iana_name(), &key, &salt, b"context");
    for (number, length) in [(0, 0), (1, 1), (255, 63), (256, 64), (65_536, 4097), (8191, CHUNK_BYTES)] {
        let plaintext = vec![0x5a; length];
        let mut coded = vec![0; length + TAG_BYTES];
        message.seal_chunk(number, &plaintext, &mut coded);
        let mut nonce = derived.base_nonce;
        let counter = u64::try_from(number).unwrap().to_be_bytes();
        nonce.iter_mut().skip(4).zip(counter).for_each(|(to, from)| *to ^= from);
        let mut expected = plaintext.clone();
        let cipher = ChaCha20Poly1305::new((&*derived.key).into());
        let tag = cipher.encrypt_inout_detached(&nonce.into(), b"", (&mut expected[..]).into()).unwrap();
        assert!(coded == [&expected[..], &tag].concat(), "chunk {number} of {length}");
        let mut opened = vec![0; length];
        assert_eq!(message.open_chunk(number, &coded, &mut opened), Ok(()));
        assert!(opened == plaintext);
    }
}
