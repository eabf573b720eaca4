//! Heads and pages under XChaCha20-Poly1305.
//!
//! ```text
//! head = 0x01 || nonce (24, random) || ciphertext || tag    key "domicile/manifest-key/1", bound to the object version
//! page = 0x01 || ciphertext || tag                          key "domicile/page-key/1", nonce = seal id (20) || page (4),
//!                                                           bound to tenant, data id, upload id, entry, page, pages
//! ```
//!
//! Pages are not bound to the object's name, so a copy within one tenant and jurisdiction shares them: only its head is new.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use domicile_types::{DataId, PackId, UploadId};

use super::{
    Content, Manifest, ManifestError, PACKS_MAX, PARTS_MAX, PageName, Part, PartEntry, SEALED_VALUE_BYTES_MAX, SealId,
    Table, v1,
};
use crate::derive::Fields;
use crate::keys::{DataKey, KEY_BYTES, ObjectName, XNONCE_BYTES};
use crate::layout::TAG_BYTES;
use crate::segment::{PART_WHOLE, PartContext, SegmentRecord};

/// What a manifest says beside its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewManifest {
    /// The data id that nodes know the shards by.
    pub data: DataId,
    /// The upload that wrote them.
    pub upload: UploadId,
    /// The packs that the object is stored under, each once.
    pub packs: Vec<PackId>,
}

/// A page to store under its name. Pages are stored before the head that makes them reachable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPage {
    /// Under which name.
    pub name: PageName,
    /// What.
    pub bytes: Vec<u8>,
}

/// A manifest to store: the pages first, the head last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedManifest {
    /// At most [`SEALED_VALUE_BYTES_MAX`].
    pub head: Vec<u8>,
    /// Each at most [`SEALED_VALUE_BYTES_MAX`]; empty for objects of up to about 250 MiB.
    pub pages: Vec<SealedPage>,
}

/// Seals the manifest of an object that was put whole: its one part has number [`PART_WHOLE`]. `nonce` is random, used once.
pub fn seal_object(
    key: &DataKey,
    object: &ObjectName<'_>,
    new: NewManifest,
    part: Part,
    nonce: [u8; XNONCE_BYTES],
) -> Result<SealedManifest, ManifestError> {
    let entry = part.entry;
    if entry.number != PART_WHOLE {
        return Err(ManifestError::Limit { limit: "an object put whole is part 0" });
    }
    let bytes = v1::end_of(0, &entry)?;
    let (content, pages) = if v1::fits_inline(&entry) {
        (Content::Inline(part), Vec::new())
    } else {
        let context =
            PartContext { tenant: object.tenant.clone(), data: new.data, upload: new.upload, part: PART_WHOLE };
        (Content::Paged(entry), seal_part(key, &context, &part)?)
    };
    let manifest = Manifest::of(object, new, bytes, content)?;
    Ok(SealedManifest { head: manifest.seal_head(key, object, nonce)?, pages })
}

/// Seals the manifest of a multipart object: `entries` in ascending order of part numbers, their pages already stored. `table`
/// is drawn for this sealing and used when the entries do not fit the head; `nonce` is random, used once.
pub fn seal_multipart(
    key: &DataKey,
    object: &ObjectName<'_>,
    new: NewManifest,
    entries: &[PartEntry],
    table: SealId,
    nonce: [u8; XNONCE_BYTES],
) -> Result<SealedManifest, ManifestError> {
    let parts = u32::try_from(entries.len()).ok().filter(|parts| (1..=PARTS_MAX).contains(parts));
    let parts = parts.ok_or(ManifestError::Limit { limit: "an object has 1 to 10,000 parts" })?;
    let are_numbers = entries.iter().all(|entry| (PART_WHOLE + 1..=PARTS_MAX).contains(&entry.number));
    if !are_numbers || !entries.is_sorted_by(|one, next| one.number < next.number) {
        return Err(ManifestError::Limit { limit: "part numbers ascend from 1 to 10,000" });
    }
    let mut bytes = 0;
    let mut placed = Vec::with_capacity(entries.len());
    for entry in entries {
        placed.push((bytes, *entry));
        bytes = v1::end_of(bytes, entry)?;
    }
    if v1::parts_fit_inline(entries.len()) {
        let manifest = Manifest::of(object, new, bytes, Content::Listed(placed))?;
        return Ok(SealedManifest { head: manifest.seal_head(key, object, nonce)?, pages: Vec::new() });
    }
    let starts = v1::table_chunks(&placed).filter_map(|chunk| Some(chunk.first()?.0)).collect();
    let content = Content::Tabled(Table { parts, seal: table, starts });
    let manifest = Manifest::of(object, new, bytes, content)?;
    let page_key = PageKey::of(key);
    let pages = v1::table_chunks(&placed)
        .zip(0..)
        .map(|(chunk, page)| {
            let name = PageName { seal: table, page };
            page_key.seal(name, &manifest.table_data(parts, page), &v1::encode_entries(chunk))
        })
        .collect::<Result<_, _>>()?;
    Ok(SealedManifest { head: manifest.seal_head(key, object, nonce)?, pages })
}

/// Seals the pages of one part. They are stored under their names, beside the part's entry, before the upload completes.
pub fn seal_part(key: &DataKey, context: &PartContext, part: &Part) -> Result<Vec<SealedPage>, ManifestError> {
    let entry = &part.entry;
    if context.part != entry.number {
        return Err(ManifestError::Limit { limit: "a part is sealed in its own context" });
    }
    let page_key = PageKey::of(key);
    let per_page = usize::try_from(v1::segments_per_page(entry.profile)).unwrap_or(usize::MAX);
    entry
        .pages()
        .zip(part.records.chunks(per_page))
        .map(|(name, records)| {
            page_key.seal(name, &segments_data(context, entry, name.page), &v1::encode_records(records))
        })
        .collect()
}

/// Opens a head. Any other tenant, bucket, key, version or data key gives [`ManifestError::Forged`].
pub fn open_manifest(key: &DataKey, object: &ObjectName<'_>, head: &[u8]) -> Result<Manifest, ManifestError> {
    let body = unframe(head)?;
    let (nonce, body) = body.split_first_chunk().ok_or(ManifestError::Length { bytes: head.len() })?;
    let cipher = XChaCha20Poly1305::new((&*key.subkey("domicile/manifest-key/1")).into());
    let plain = open(&cipher, nonce, &object.fields("domicile/manifest/1"), body)?;
    v1::decode_head(object.tenant.clone(), &plain)
}

/// Opens one page of a part's records.
pub(crate) fn open_segments_page(
    key: &DataKey,
    context: &PartContext,
    entry: &PartEntry,
    page: u32,
    sealed: &[u8],
) -> Result<Vec<SegmentRecord>, ManifestError> {
    let name = PageName { seal: entry.seal, page };
    let plain = PageKey::of(key).open(name, &segments_data(context, entry, page), sealed)?;
    v1::decode_segments_page(entry, page, &plain)
}

/// Opens one page of a table of parts.
pub(crate) fn open_parts_page(
    key: &DataKey,
    manifest: &Manifest,
    table: &Table,
    page: u32,
    sealed: &[u8],
) -> Result<Vec<(u64, PartEntry)>, ManifestError> {
    let name = PageName { seal: table.seal, page };
    let plain = PageKey::of(key).open(name, &manifest.table_data(table.parts, page), sealed)?;
    v1::decode_parts_page(table, page, &plain)
}

impl Manifest {
    fn of(object: &ObjectName<'_>, new: NewManifest, bytes: u64, content: Content) -> Result<Self, ManifestError> {
        let NewManifest { data, upload, packs } = new;
        let is_set = packs.iter().enumerate().all(|(at, pack)| !packs.iter().skip(at + 1).any(|other| other == pack));
        if packs.len() > PACKS_MAX || !is_set {
            return Err(ManifestError::Limit { limit: "an object has at most 32 packs, each once" });
        }
        Ok(Self { tenant: object.tenant.clone(), data, upload, packs, bytes, content })
    }

    /// Seals this head for `object`: again under a new name when an object is copied within its tenant, where pages and
    /// segments are shared. `nonce` is random, used once.
    pub fn seal_head(
        &self,
        key: &DataKey,
        object: &ObjectName<'_>,
        nonce: [u8; XNONCE_BYTES],
    ) -> Result<Vec<u8>, ManifestError> {
        if *object.tenant != self.tenant {
            return Err(ManifestError::Limit { limit: "a manifest stays with its tenant: copy by sealing anew" });
        }
        let cipher = XChaCha20Poly1305::new((&*key.subkey("domicile/manifest-key/1")).into());
        let mut out = vec![v1::VERSION];
        out.extend_from_slice(&nonce);
        seal(&cipher, &nonce, &object.fields("domicile/manifest/1"), &v1::encode_head(self), out)
    }

    fn table_data(&self, parts: u32, page: u32) -> Fields {
        Fields::new("domicile/parts-page/1")
            .with(self.tenant.as_str().as_bytes())
            .with(self.data.as_bytes())
            .with(self.upload.as_bytes())
            .with(&self.bytes.to_be_bytes())
            .with(&parts.to_be_bytes())
            .with(&page.to_be_bytes())
            .with(&v1::table_pages(parts).to_be_bytes())
    }
}

fn segments_data(context: &PartContext, entry: &PartEntry, page: u32) -> Fields {
    Fields::new("domicile/segments-page/1")
        .with(context.tenant.as_str().as_bytes())
        .with(context.data.as_bytes())
        .with(context.upload.as_bytes())
        .with(&v1::encode_entry(entry))
        .with(&page.to_be_bytes())
        .with(&v1::segment_pages(entry).to_be_bytes())
}

struct PageKey(XChaCha20Poly1305);

impl PageKey {
    fn of(key: &DataKey) -> Self {
        Self(XChaCha20Poly1305::new((&*key.subkey("domicile/page-key/1")).into()))
    }

    fn seal(&self, name: PageName, data: &Fields, plain: &[u8]) -> Result<SealedPage, ManifestError> {
        let bytes = seal(&self.0, &page_nonce(name), data, plain, vec![v1::VERSION])?;
        Ok(SealedPage { name, bytes })
    }

    fn open(&self, name: PageName, data: &Fields, sealed: &[u8]) -> Result<Vec<u8>, ManifestError> {
        open(&self.0, &page_nonce(name), data, unframe(sealed)?)
    }
}

/// Seal ids are random and used once, so no two pages share a nonce.
fn page_nonce(name: PageName) -> [u8; XNONCE_BYTES] {
    let mut nonce = [0; XNONCE_BYTES];
    let from = name.seal.as_bytes().iter().copied().chain(name.page.to_be_bytes());
    nonce.iter_mut().zip(from).for_each(|(to, from)| *to = from);
    nonce
}

/// Appends ciphertext and tag to `out`.
fn seal(
    cipher: &XChaCha20Poly1305,
    nonce: &[u8; XNONCE_BYTES],
    data: &Fields,
    plain: &[u8],
    mut out: Vec<u8>,
) -> Result<Vec<u8>, ManifestError> {
    let mut body = vec![0; plain.len()];
    let tag = InOutBuf::new(plain, &mut body)
        .ok()
        .and_then(|buffer| cipher.encrypt_inout_detached(nonce.into(), data.as_bytes(), buffer).ok());
    let tag = tag.ok_or(ManifestError::Limit { limit: "sealed length" })?;
    out.extend_from_slice(&body);
    out.extend_from_slice(&tag);
    if out.len() > SEALED_VALUE_BYTES_MAX {
        return Err(ManifestError::Limit { limit: "a sealed value has at most 32 KiB" });
    }
    Ok(out)
}

fn open(
    cipher: &XChaCha20Poly1305,
    nonce: &[u8; XNONCE_BYTES],
    data: &Fields,
    body: &[u8],
) -> Result<Vec<u8>, ManifestError> {
    let (body, tag) = body.split_last_chunk::<TAG_BYTES>().ok_or(ManifestError::Length { bytes: body.len() })?;
    let mut plain = vec![0; body.len()];
    let buffer = InOutBuf::new(body, &mut plain).map_err(|_| ManifestError::Forged)?;
    cipher
        .decrypt_inout_detached(nonce.into(), data.as_bytes(), buffer, tag.into())
        .map_err(|_| ManifestError::Forged)?;
    Ok(plain)
}

/// Length and version, before anything is computed.
fn unframe(sealed: &[u8]) -> Result<&[u8], ManifestError> {
    if sealed.len() > SEALED_VALUE_BYTES_MAX {
        return Err(ManifestError::Length { bytes: sealed.len() });
    }
    match sealed.split_first() {
        Some((&v1::VERSION, body)) => Ok(body),
        Some((&version, _)) => Err(ManifestError::Version { version }),
        None => Err(ManifestError::Length { bytes: 0 }),
    }
}

const _: () = assert!(KEY_BYTES == 32, "XChaCha20-Poly1305 takes 32 bytes");
