//! Whose connection it is: the address that counts against the limits per address.
//!
//! An IPv6 client has a whole network to choose its addresses from, so its /64 counts as one address; an IPv4 address in
//! IPv6 clothes counts as what it is. Behind a proxy all connections have the proxy's address; what it says of
//! its clients (`X-Forwarded-For`) is believed only if the operator has named the proxy, since anybody can send that header.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What counts as one address.
pub fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// The client behind a connection from `peer`: what the nearest proxies that are trusted say of it.
/// `forwarded_for` are the values of the X-Forwarded-For headers, in order.
pub fn client_behind<'a>(peer: IpAddr, trusted: &[IpAddr], forwarded_for: impl Iterator<Item = &'a [u8]>) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.contains(&address.to_canonical());
    let mut client = peer.to_canonical();
    if !is_trusted(&client) {
        return client;
    }
    let hops: Vec<&[u8]> = forwarded_for.flat_map(|value| value.split(|b| *b == b',')).collect();
    // Each proxy appends whom it heard from: what stands left of an address that is not trusted, anybody may have made up.
    for hop in hops.into_iter().rev() {
        let Some(address) = address_in(hop) else { break };
        client = address;
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

/// An address, with or without a port.
fn address_in(hop: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(hop).ok()?.trim();
    let text = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|with_port| with_port.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn behind(peer: &str, forwarded_for: &[&str]) -> IpAddr {
        let trusted = [ip("10.0.0.1"), ip("10.0.0.2")];
        client_behind(ip(peer), &trusted, forwarded_for.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address_and_ipv4_in_ipv6_as_itself() {
        assert_eq!(counted_as(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(counted_as(ip("::ffff:192.0.2.7")), ip("192.0.2.7"));
        assert_eq!(counted_as(ip("192.0.2.7")), ip("192.0.2.7"));
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(behind("192.0.2.9", &["198.51.100.1"]), ip("192.0.2.9"));
    }

    #[test]
    fn a_trusted_proxy_is_believed_as_far_as_its_own_word_goes() {
        assert_eq!(behind("10.0.0.1", &["198.51.100.1"]), ip("198.51.100.1"));
        assert_eq!(behind("::ffff:10.0.0.1", &["198.51.100.1:4711"]), ip("198.51.100.1"));
        assert_eq!(behind("10.0.0.1", &["203.0.113.5, 198.51.100.1"]), ip("198.51.100.1"), "the left one is made up");
        assert_eq!(behind("10.0.0.1", &["198.51.100.1", "10.0.0.2"]), ip("198.51.100.1"), "a chain of two proxies");
        assert_eq!(behind("10.0.0.1", &["[2001:db8::1]:80"]), ip("2001:db8::1"));
        assert_eq!(behind("10.0.0.1", &["[2001:db8::1]"]), ip("2001:db8::1"));
        assert_eq!(behind("10.0.0.1", &[]), ip("10.0.0.1"));
        assert_eq!(behind("10.0.0.1", &["198.51.100.1, nonsense"]), ip("10.0.0.1"));
    }
}
