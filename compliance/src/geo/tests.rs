//! What the shipped databases say, and what the locator makes of it.

use std::fs;

use super::*;

/// 2026-07-01T00:00:00Z: both shipped files are less than 60 days old.
const FRESH: UnixMillis = UnixMillis(1_782_864_000_000);
/// 2026-11-22T00:00:00Z: both are stale.
const STALE: UnixMillis = UnixMillis(1_795_305_600_000);

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("geo").join(name)
}

fn both() -> Vec<PathBuf> {
    vec![shipped("dbip-country.mmdb"), shipped("geo-whois-asn-country.mmdb")]
}

fn places(located: &Located) -> String {
    located.candidates.iter().map(Place::to_string).collect::<Vec<_>>().join(" ")
}

fn network(text: &str, place: &str) -> (IpNet, Place) {
    (text.parse().unwrap(), Place::parse(place).unwrap())
}

fn locate(locator: &Locator, address: &str, now: UnixMillis) -> Located {
    locator.locate(address.parse().unwrap(), now)
}

#[test]
fn well_known_addresses_are_where_they_are_known_to_be() {
    let locator = Locator::open(&both(), Vec::new(), FRESH).unwrap();
    for (address, place) in [
        ("166.111.4.100", "CN"),    // Tsinghua University
        ("223.5.5.5", "CN"),        // AliDNS
        ("2400:3200::1", "CN"),     // AliDNS
        ("147.8.2.58", "HK"),       // University of Hong Kong
        ("143.89.12.134", "HK"),    // HKUST
        ("161.64.3.1", "MO"),       // University of Macau
        ("202.175.3.3", "MO"),      // CTM
        ("140.112.8.116", "TW"),    // National Taiwan University
        ("2001:b000:168::1", "TW"), // HiNet
        ("193.0.6.139", "NL"),      // RIPE NCC
        ("175.45.176.1", "KP"),
        ("200.55.128.3", "CU"),
        ("::ffff:193.0.6.139", "NL"),
    ] {
        let located = locate(&locator, address, FRESH);
        assert_eq!(places(&located), place, "{address}");
        assert_eq!(located.sources.len(), 2);
        assert!(located.warnings.is_empty(), "{:?}", located.warnings);
    }
}

#[test]
fn where_the_databases_disagree_every_answer_is_a_candidate() {
    let locator = Locator::open(&both(), Vec::new(), FRESH).unwrap();
    // The Chinese education network, which one of the two has in Australia.
    let located = locate(&locator, "2001:da8::1", FRESH);
    assert_eq!(places(&located), "AU CN");
    assert!(located.warnings.iter().any(|warning| warning.contains("disagree")), "{:?}", located.warnings);
    // Guadeloupe, which one of the two has in metropolitan France.
    assert_eq!(places(&locate(&locator, "193.251.160.1", FRESH)), "FR GP");
}

#[test]
fn an_address_without_a_place_is_unknown_even_if_a_database_lists_it() {
    let locator = Locator::open(&both(), Vec::new(), FRESH).unwrap();
    for address in [
        "127.0.0.1",
        "10.1.2.3",
        "100.64.0.1",
        "240.0.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "2001:db8::1",
        "2002:a66f:464::1",
    ] {
        let located = locate(&locator, address, FRESH);
        assert_eq!(places(&located), "unknown", "{address}");
        assert!(located.sources.is_empty() && !located.warnings.is_empty());
    }
}

#[test]
fn the_longest_matching_override_wins_over_the_databases() {
    let overrides = vec![network("127.0.0.0/8", "CN"), network("127.30.0.0/16", "DE"), network("2001:da8::/32", "CN")];
    let locator = Locator::open(&both(), overrides, FRESH).unwrap();
    assert_eq!(places(&locate(&locator, "127.30.0.9", STALE)), "DE");
    assert_eq!(places(&locate(&locator, "127.31.0.9", STALE)), "CN");
    assert_eq!(places(&locate(&locator, "::ffff:127.30.0.9", STALE)), "DE");
    let located = locate(&locator, "2001:da8::1", STALE);
    assert_eq!(places(&located), "CN");
    assert_eq!(located.sources, [LocationSource::Override { network: "2001:da8::/32".into() }]);
    assert_eq!(located.warnings.len(), 2, "stale databases are warned of all the same: {:?}", located.warnings);
    assert!(locate(&locator, "2001:da8::1", FRESH).warnings.is_empty());
}

#[test]
fn one_network_in_two_places_is_refused() {
    let overrides = vec![network("10.1.0.0/16", "CN"), network("10.1.2.3/16", "HK")];
    let error = Locator::open(&[], overrides, FRESH).unwrap_err();
    assert_eq!(error.to_string(), "the overrides place 10.1.0.0/16 both in CN and in HK: keep one");
}

#[test]
fn stale_builds_and_missing_second_opinions_are_in_every_answer() {
    let locator = Locator::open(&both(), Vec::new(), STALE).unwrap();
    let located = locate(&locator, "166.111.4.100", STALE);
    assert_eq!(places(&located), "CN");
    let stale = located.warnings.iter().filter(|warning| warning.contains("days ago")).count();
    assert_eq!(stale, 2, "{:?}", located.warnings);
    let single = Locator::open(&[shipped("dbip-country.mmdb")], Vec::new(), FRESH).unwrap();
    assert!(locate(&single, "8.8.8.8", FRESH).warnings.concat().contains("the only location database"));
    let none = Locator::open(&[], Vec::new(), FRESH).unwrap();
    let located = locate(&none, "8.8.8.8", FRESH);
    assert_eq!(places(&located), "unknown");
    assert_eq!(located.warnings, ["no location database is configured"]);
}

#[test]
fn a_missing_or_truncated_file_is_refused_with_what_to_do() {
    let missing = Locator::open(&[shipped("atlantis.mmdb")], Vec::new(), FRESH).unwrap_err();
    assert!(matches!(missing, LocatorError::Unreadable { .. }));
    assert!(missing.to_string().contains("atlantis.mmdb: put the file there"), "{missing}");
    let whole = fs::read(shipped("dbip-country.mmdb")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = Locator::open(&[path], Vec::new(), FRESH).unwrap_err();
        assert!(matches!(error, LocatorError::Damaged { .. }), "{name}: {error}");
        assert!(error.to_string().contains("fetch it again"), "{error}");
    };
    refused("tail-cut-off.mmdb", &whole[..whole.len() / 2]);
    refused("head-cut-off.mmdb", &whole[whole.len() / 2..]);
    refused("empty.mmdb", b"");
    refused("html.mmdb", b"<html>404</html>");
}

#[test]
fn a_database_from_the_future_is_refused() {
    let error = Locator::open(&both(), Vec::new(), UnixMillis(1_600_000_000_000)).unwrap_err();
    assert!(matches!(error, LocatorError::FromTheFuture { .. }), "{error}");
}

/// A database of one node: 0.0.0.0/1 has `row`, the other half has nothing. MaxMind DB File Format Specification 2.0.
fn database(folder: &Path, name: &str, row: &[u8]) -> PathBuf {
    let string = |text: &str| [&[0x40 | u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    // One node of two 24-bit records: a pointer to the data (nodes + 16), and "not found" (nodes).
    let tree = [0, 0, 17, 0, 0, 1];
    let metadata = [
        &[0xe0 | 9][..],
        &string("binary_format_major_version"),
        &[0xa1, 2],
        &string("binary_format_minor_version"),
        &[0xa0],
        &string("build_epoch"),
        // An unsigned 64-bit integer of four bytes.
        &[&[0x04, 0x02][..], &u32::try_from(FRESH.0 / 1000).unwrap().to_be_bytes()].concat(),
        &string("database_type"),
        &string("test"),
        &string("description"),
        &[0xe0],
        &string("ip_version"),
        &[0xa1, 4],
        &string("languages"),
        &[0x00, 0x04],
        &string("node_count"),
        &[0xc1, 1],
        &string("record_size"),
        &[0xa1, 24],
    ]
    .concat();
    let file = [&tree[..], &[0; 16], row, b"\xab\xcd\xefMaxMind.com", &metadata].concat();
    let path = folder.join(name);
    fs::write(&path, file).unwrap();
    path
}

/// `{ "country": { "iso_code": code }, "traits": { "is_anonymous_proxy": proxy } }`.
fn nested_row(code: &str, proxy: bool) -> Vec<u8> {
    let mut row = b"\xe2\x47country\xe1\x48iso_code\x42".to_vec();
    row.extend(code.as_bytes());
    row.extend(b"\x46traits\xe1\x52is_anonymous_proxy");
    row.extend([u8::from(proxy), 0x07]);
    row
}

#[test]
fn nested_rows_are_read_and_proxies_may_be_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let plain = database(folder.path(), "plain.mmdb", &nested_row("DE", false));
    let proxy = database(folder.path(), "proxy.mmdb", &nested_row("DE", true));
    let locator = Locator::open(&[plain.clone(), plain.clone()], Vec::new(), FRESH).unwrap();
    assert_eq!(places(&locate(&locator, "8.8.8.8", FRESH)), "DE");
    let locator = Locator::open(&[plain, proxy], Vec::new(), FRESH).unwrap();
    let located = locate(&locator, "8.8.8.8", FRESH);
    assert_eq!(places(&located), "unknown DE");
    assert!(located.warnings[0].contains("proxy.mmdb holds the address for a proxy"), "{:?}", located.warnings);
}

#[test]
fn what_one_database_does_not_know_may_be_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let german = database(folder.path(), "german.mmdb", b"\xe1\x4ccountry_code\x42DE");
    let nobody = database(folder.path(), "nobody.mmdb", b"\xe1\x4ccountry_code\x42ZZ");
    let locator = Locator::open(&[german.clone(), nobody], Vec::new(), FRESH).unwrap();
    let located = locate(&locator, "8.8.8.8", FRESH);
    assert_eq!(places(&located), "unknown DE");
    assert_eq!(located.sources.len(), 1);
    assert!(located.warnings[0].contains("nobody.mmdb does not know the address"), "{:?}", located.warnings);
    let locator = Locator::open(&[german.clone(), german], Vec::new(), FRESH).unwrap();
    assert_eq!(places(&locate(&locator, "193.0.6.139", FRESH)), "unknown");
    assert_eq!(places(&locate(&locator, "2400:3200::1", FRESH)), "unknown", "a database of IPv4 alone");
}

#[test]
fn a_row_that_cannot_be_read_is_found_when_the_file_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    // A country code that is a number.
    let path = database(folder.path(), "odd.mmdb", b"\xe1\x4ccountry_code\xa1\x07");
    assert!(matches!(Locator::open(&[path], Vec::new(), FRESH), Err(LocatorError::Damaged { .. })));
}

#[test]
fn networks_are_numbers_and_garbage_is_no_database_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let row = b"\xe1\x58autonomous_system_number\xc2\xfc\x00";
    let path = database(folder.path(), "asn.mmdb", row);
    let networks = Networks::open(&[path], FRESH).unwrap();
    assert_eq!(networks.number("8.8.8.8".parse().unwrap()), Some(64_512));
    assert_eq!(networks.number("193.0.6.139".parse().unwrap()), None);
    assert_eq!(networks.number("2400:3200::1".parse().unwrap()), None);
    assert_eq!(networks.sources().count(), 1);
    assert_eq!(Networks::default().number("8.8.8.8".parse().unwrap()), None);
    let garbage = folder.path().join("garbage.mmdb");
    fs::write(&garbage, vec![7; 4096]).unwrap();
    assert!(matches!(Networks::open(&[garbage], FRESH), Err(LocatorError::Damaged { .. })));
}

/// Warnings become part of the inputs of decisions, which are kept: an address is personal data, and is not.
#[test]
fn no_warning_names_the_address_that_it_is_about() {
    let locator = Locator::open(&both(), Vec::new(), FRESH).unwrap();
    let mut warned = 0;
    for address in
        ["10.1.2.3", "127.0.0.9", "203.0.113.77", "169.254.77.1", "166.111.4.100", "2001:db8::77", "fe80::77"]
    {
        for now in [FRESH, STALE] {
            let located = locate(&locator, address, now);
            warned += located.warnings.len();
            assert!(located.warnings.iter().all(|warning| !warning.contains(address)), "{:?}", located.warnings);
        }
    }
    assert!(warned >= 7, "{warned}");
}
