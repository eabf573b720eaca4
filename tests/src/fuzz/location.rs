//! Location databases: files that others make, and that may be swapped for anything while a gateway runs.
//!
//! The seeds are written by hand after the MaxMind DB File Format Specification 2.0.

use std::net::IpAddr;

use domicile_compliance::Locator;
use domicile_types::{Country, Place, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_795_372_444_320);
/// Nodes of a tree whose paths nobody lives to see the end of.
const NODES_OF_DIAMONDS: u8 = 120;

/// A database that is sound, and one whose tree has few nodes and more paths than can be walked.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    vec![sound(), diamonds()]
}

pub(super) fn check(bytes: &[u8]) {
    let file = tempfile::NamedTempFile::new().and_then(|file| std::fs::write(file.path(), bytes).map(|()| file));
    let Ok(file) = file else { return };
    let opened = Locator::open(&[file.path().to_owned()], Vec::new(), NOW);
    if bytes == diamonds() {
        assert!(opened.is_err(), "a tree without rows was taken");
    }
    let Ok(locator) = opened else { return };
    for address in [[1, 2, 3, 4].into(), [200, 1, 2, 3].into(), [0x2a00, 0, 0, 0, 0, 0, 0, 1].into()] {
        let address: IpAddr = address;
        let located = locator.locate(address, NOW);
        assert!(!located.candidates.is_empty(), "an address is nowhere, not even at a place that nobody knows");
        assert_eq!(located, locator.locate(address, NOW), "the same address is at two places");
        if bytes == sound() {
            let china = Country::parse("CN").map(Place::Country).ok();
            let expected = if address == IpAddr::from([1, 2, 3, 4]) { china } else { Some(Place::Unknown) };
            assert_eq!(located.candidates.first().copied(), expected);
        }
    }
}

/// One node: addresses that begin with a 0 are in China, others are not told of.
fn sound() -> Vec<u8> {
    let tree = [0, 0, 17, 0, 0, 1];
    let row = b"\xe1\x4ccountry_code\x42CN";
    [&tree[..], &[0; 16], row, &metadata(1, 4)].concat()
}

/// Both branches of every node lead to the next node, and those of the last one nowhere.
fn diamonds() -> Vec<u8> {
    let tree = (1..=NODES_OF_DIAMONDS).flat_map(|next| [0, 0, next, 0, 0, next]);
    [tree.collect(), vec![0; 16], metadata(NODES_OF_DIAMONDS, 6)].concat()
}

fn metadata(nodes: u8, ip_version: u8) -> Vec<u8> {
    // A control byte is a type in three bits and a size in five: 2 text, 5 and 6 numbers, 7 a map. Types above 7 have a zero
    // there and a second byte: 2 a number of 64 bits, 4 a list.
    let fields: [(&[u8], &[u8]); 9] = [
        (b"node_count", &[0xc1, nodes]),
        (b"record_size", &[0xa1, 24]),
        (b"ip_version", &[0xa1, ip_version]),
        (b"database_type", b"\x44test"),
        (b"languages", &[0x00, 0x04]),
        (b"binary_format_major_version", &[0xa1, 2]),
        (b"binary_format_minor_version", &[0xa0]),
        (b"build_epoch", &[0x04, 0x02, 0x6a, 0, 0, 0]),
        (b"description", &[0xe0]),
    ];
    let mut bytes = b"\xab\xcd\xefMaxMind.com\xe9".to_vec();
    for (name, value) in fields {
        bytes.push(0x40 | u8::try_from(name.len()).unwrap_or_default());
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(value);
    }
    bytes
}
