//! Values of conditions that are more than text.

use std::net::IpAddr;

use ipnet::IpNet;
use time::format_description::well_known::Iso8601;
use time::{Date, OffsetDateTime};

/// A finite number.
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

/// `true` or `false`, in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// A time in ISO 8601 (`2026-11-22T15:00:00Z`, `2026-11-22`), or seconds since 1970.
pub(super) fn date(text: &str) -> Option<OffsetDateTime> {
    if let Ok(seconds) = text.parse::<i64>() {
        return OffsetDateTime::from_unix_timestamp(seconds).ok();
    }
    if let Ok(at) = OffsetDateTime::parse(text, &Iso8601::DEFAULT) {
        return Some(at);
    }
    Date::parse(text, &Iso8601::DATE).ok().map(|day| day.midnight().assume_utc())
}

/// A network in CIDR notation, or one address.
pub(super) fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// An address; an IPv4 address that is written as IPv6 is the same address.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_iso_8601_or_seconds() {
        let at = date("1970-01-02T00:00:00Z").unwrap();
        for same in ["86400", "1970-01-02", "1970-01-02T01:00:00+01:00", "1970-01-02T00:00:00.000Z"] {
            assert_eq!(date(same), Some(at), "{same}");
        }
        for bad in ["", "tomorrow", "1970-13-01", "1.5"] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_booleans_and_networks_are_what_they_say() {
        assert_eq!((number("10"), number("1e3"), number("NaN"), number("ten")), (Some(10.0), Some(1000.0), None, None));
        assert_eq!((boolean("True"), boolean("false"), boolean("1")), (Some(true), Some(false), None));
        assert_eq!(network("10.0.0.1").map(|net| net.prefix_len()), Some(32));
        assert!(network("10.0.0.0/33").is_none() && network("example.com").is_none());
        assert_eq!(address("::ffff:10.0.0.1"), "10.0.0.1".parse().ok());
    }
}
