//! The unit by which resources are shared among peers. It knows nothing of what is shared.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// One peer, as far as its address tells: an IPv4 address, or an IPv6 network of 64 bits, which is what one
/// subscriber is given (RFC 6177). An IPv4 address that is written as an IPv6 one counts as itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Address {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl Address {
    /// For work that no peer has asked for.
    pub(crate) const OWN: Self = Self::V4(Ipv4Addr::UNSPECIFIED.octets());
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(peer: SocketAddr) -> Self {
        Self::from(peer.ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn an_ipv4_address_is_one_peer_however_it_is_written() {
        assert_eq!(address("192.0.2.1"), address("::ffff:192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }

    #[test]
    fn an_ipv6_network_is_one_peer() {
        assert_eq!(address("2001:db8:0:1::1"), address("2001:db8:0:1:ffff::2"));
        assert_ne!(address("2001:db8:0:1::1"), address("2001:db8:0:2::1"));
    }
}
