//! A shard's bytes changed on the disk, behind its node's back.

use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use domicile_types::ShardCid;

/// Whether the checksums of the segment file are made to fit the changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// Left as they are: the node can notice by itself.
    Left,
    /// Made to fit: to the node the bytes look sound, and it serves them.
    Forged,
}

// storage-node/src/store/FORMAT.md: where the fields of a record stand.
const RECORD: &[u8; 4] = b"DREC";
const STORED: u8 = 1;
const CID_AT: usize = 24;
const LENGTH_AT: usize = 136;
const GROUPS_AT: usize = 140;
const SUM_AT: usize = 144;
const TABLE_AT: usize = 152;
const GROUP_BYTES: usize = 16_400;

/// Changes one byte in the middle of a shard's payload in the segment files of `folder`.
///
/// # Errors
/// Where no file holds the shard.
pub fn corrupt(folder: &Path, cid: &ShardCid, sums: Sums) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "seg") {
            continue;
        }
        let content = std::fs::read(&path)?;
        let Some(record) = find(&content, cid) else { continue };
        let file = std::fs::OpenOptions::new().write(true).open(&path)?;
        let (length, groups) = (number(&content, record + LENGTH_AT)?, number(&content, record + GROUPS_AT)?);
        let payload = record + TABLE_AT + 4 * groups;
        let victim = payload + length / 2;
        let changed = [content.get(victim).context("the payload is in the file")? ^ 0x40];
        file.write_all_at(&changed, u64::try_from(victim)?)?;
        if sums == Sums::Forged {
            let mut content = content;
            *content.get_mut(victim).context("the payload is in the file")? = changed[0];
            let group = length / 2 / GROUP_BYTES;
            let start = payload + group * GROUP_BYTES;
            let end = (start + GROUP_BYTES).min(payload + length);
            let sum = crc32c(content.get(start..end).context("the group is in the file")?.iter());
            let at = record + TABLE_AT + 4 * group;
            content.splice(at..at + 4, sum.to_le_bytes());
            // The record's own sum is over what precedes it and the table.
            let head = content.get(record..record + SUM_AT).context("the record is in the file")?;
            let table = content.get(record + TABLE_AT..payload).context("the record is in the file")?;
            let whole = crc32c(head.iter().chain(table));
            file.write_all_at(&sum.to_le_bytes(), u64::try_from(at)?)?;
            file.write_all_at(&whole.to_le_bytes(), u64::try_from(record + SUM_AT)?)?;
        }
        return Ok(file.sync_all()?);
    }
    bail!("no file of {} holds the shard {cid}", folder.display())
}

/// Where the record of the shard's payload starts.
fn find(content: &[u8], cid: &ShardCid) -> Option<usize> {
    let digest: &[u8] = cid.digest();
    let mut from = 0;
    while let Some(at) = content.get(from..)?.windows(digest.len()).position(|window| window == digest) {
        let record = (from + at).checked_sub(CID_AT);
        let is_it = |record: &usize| {
            content.get(*record..record + 5).is_some_and(|head| head[..4] == *RECORD && head[4] == STORED)
        };
        if let Some(record) = record.filter(is_it) {
            return Some(record);
        }
        from += at + 1;
    }
    None
}

fn number(content: &[u8], at: usize) -> Result<usize> {
    let bytes = content.get(at..at + 4).context("the record is in the file")?;
    Ok(usize::try_from(u32::from_le_bytes(bytes.try_into()?))?)
}

/// CRC-32C (Castagnoli), bit by bit.
fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    !bytes.fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        // Appendix B.4: 32 bytes of zeros, of ones, and counting up.
        assert_eq!(crc32c([0; 32].iter()), 0x8a91_36aa);
        assert_eq!(crc32c([0xff; 32].iter()), 0x62a8_ab43);
        assert_eq!(crc32c((0..32).collect::<Vec<u8>>().iter()), 0x46dd_794e);
    }
}
