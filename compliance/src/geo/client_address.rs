//! Whose address a request has: the socket's peer, or, behind proxies that the configuration names, what they forwarded.
//!
//! `X-Forwarded-For` is what anybody may write. Only entries that a trusted proxy appended count: reading from the right,
//! the first address that is not a trusted proxy is the client; everything to its left was in the client's own hands.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The most hops that are read; a longer chain is refused.
pub const FORWARDED_HOPS_MAX: usize = 32;

/// A chain of a trusted proxy that says nothing certain. The client's place is then unknown, never the proxy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientAddressError {
    /// An entry before the first untrusted hop is not an address.
    #[error("hop {hop} from the right of X-Forwarded-For is not an address: correct the proxy's configuration")]
    Malformed {
        /// Which hop, from 1.
        hop: usize,
    },
    /// A chain longer than any real one.
    #[error("X-Forwarded-For has more than {FORWARDED_HOPS_MAX} hops: refused")]
    TooLong,
}

/// The address to judge a request by.
///
/// `forwarded_for` are the values of all `X-Forwarded-For` headers in the order received (several headers are one list, RFC
/// 9110 section 5.3). They are ignored unless `peer` is in `trusted`. When every hop is trusted, the left-most is the
/// client; when there is none, the peer is. Ports and brackets around an address are accepted, since some proxies add them.
pub fn client_address<'a>(
    peer: IpAddr,
    forwarded_for: impl IntoIterator<Item = &'a str>,
    trusted: &[IpNet],
) -> Result<IpAddr, ClientAddressError> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return Ok(peer);
    }
    let hops: Vec<&str> = forwarded_for.into_iter().flat_map(|value| value.split(',')).collect();
    if hops.len() > FORWARDED_HOPS_MAX {
        return Err(ClientAddressError::TooLong);
    }
    let mut client = peer;
    for (hop, text) in (1..).zip(hops.iter().rev()) {
        client = parse_hop(text.trim()).ok_or(ClientAddressError::Malformed { hop })?;
        if !is_trusted(client) {
            break;
        }
    }
    Ok(client)
}

fn parse_hop(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip())).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(peer: &str, headers: &[&str]) -> Result<String, ClientAddressError> {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let headers = headers.iter().copied();
        client_address(peer.parse().unwrap(), headers, &trusted).map(|address| address.to_string())
    }

    #[test]
    fn a_client_that_is_no_proxy_cannot_forward_for_anybody() {
        assert_eq!(ask("203.0.113.9", &["223.5.5.5"]).as_deref(), Ok("203.0.113.9"));
        assert_eq!(ask("203.0.113.9", &["nonsense"]).as_deref(), Ok("203.0.113.9"));
    }

    #[test]
    fn the_right_most_untrusted_hop_is_the_client_whatever_it_wrote_to_its_left() {
        assert_eq!(ask("10.0.0.1", &["223.5.5.5, 81.2.69.160"]).as_deref(), Ok("81.2.69.160"));
        assert_eq!(ask("10.0.0.1", &["223.5.5.5, 81.2.69.160, 10.0.0.2"]).as_deref(), Ok("81.2.69.160"));
        assert_eq!(ask("10.0.0.1", &["10.9.9.9, 81.2.69.160"]).as_deref(), Ok("81.2.69.160"));
        assert_eq!(ask("10.0.0.1", &["not an address, 81.2.69.160"]).as_deref(), Ok("81.2.69.160"));
    }

    #[test]
    fn several_headers_are_one_list() {
        assert_eq!(ask("10.0.0.1", &["223.5.5.5", "81.2.69.160"]).as_deref(), Ok("81.2.69.160"));
    }

    #[test]
    fn a_malformed_hop_before_the_client_leaves_the_client_unknown() {
        assert_eq!(ask("10.0.0.1", &["81.2.69.160, unknown"]), Err(ClientAddressError::Malformed { hop: 1 }));
        assert_eq!(ask("10.0.0.1", &["81.2.69.160, , 10.0.0.2"]), Err(ClientAddressError::Malformed { hop: 2 }));
        assert_eq!(ask("10.0.0.1", &[""]), Err(ClientAddressError::Malformed { hop: 1 }));
        let long = vec!["10.0.0.2"; FORWARDED_HOPS_MAX + 1].join(",");
        assert_eq!(ask("10.0.0.1", &[&long]), Err(ClientAddressError::TooLong));
    }

    #[test]
    fn a_proxy_that_forwards_for_nobody_is_the_client_itself() {
        assert_eq!(ask("10.0.0.1", &[]).as_deref(), Ok("10.0.0.1"));
        assert_eq!(ask("10.0.0.1", &["10.0.0.7, 10.0.0.2"]).as_deref(), Ok("10.0.0.7"));
    }

    #[test]
    fn ports_brackets_and_mapped_addresses_are_read() {
        assert_eq!(ask("10.0.0.1", &["81.2.69.160:4711"]).as_deref(), Ok("81.2.69.160"));
        assert_eq!(ask("fd00::1", &["[2001:67c:2e8::1]:443"]).as_deref(), Ok("2001:67c:2e8::1"));
        assert_eq!(ask("::ffff:10.0.0.1", &["[2001:67c:2e8::1]"]).as_deref(), Ok("2001:67c:2e8::1"));
        assert_eq!(ask("10.0.0.1", &["::ffff:81.2.69.160"]).as_deref(), Ok("81.2.69.160"));
    }

    proptest::proptest! {
        /// Whatever a client writes into the header before it reaches the proxy, it stays the client.
        #[test]
        fn nothing_that_a_client_forwards_changes_who_it_is(forged in "[ -~]{0,80}", last in proptest::num::u8::ANY) {
            let client = format!("81.2.69.{last}");
            let hops = forged.split(',').count();
            let came = ask("10.0.0.1", &[&forged, &client]);
            if hops < FORWARDED_HOPS_MAX {
                proptest::prop_assert_eq!(came, Ok(client));
            } else {
                proptest::prop_assert_eq!(came, Err(ClientAddressError::TooLong));
            }
        }
    }
}
