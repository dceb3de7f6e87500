//! Where data connections are made to: what `PORT`, `EPRT` and `EPSV` say, and what the replies to `PASV` and `EPSV` do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Lower ports are those of services of a system, which a client has no data connections at.
const PORT_MIN: u16 = 1024;

/// Why a client cannot be connected to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadAddress {
    /// It cannot be read.
    Form,
    /// A family of addresses that there is not here.
    Family,
    /// Not the client's own.
    Foreign,
    Privileged,
}

/// The protocols that `EPRT` and `EPSV` number (RFC 2428).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(super) fn number(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }
}

/// `h1,h2,h3,h4,p1,p2`.
pub(super) fn parse_port(argument: &[u8]) -> Result<SocketAddr, BadAddress> {
    let numbers: Option<Vec<u8>> = argument.split(|&byte| byte == b',').map(parse_number).collect();
    match numbers.as_deref() {
        Some(&[a, b, c, d, high, low]) => {
            Ok((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into())
        }
        _ => Err(BadAddress::Form),
    }
}

/// `|family|address|port|`, with any other character in place of the bars, from a client of this family.
pub(super) fn parse_eprt(argument: &[u8], own: Family) -> Result<SocketAddr, BadAddress> {
    let Some((&bar, _)) = argument.split_first() else { return Err(BadAddress::Form) };
    let parts: Vec<&[u8]> = argument.split(|&byte| byte == bar).collect();
    let &[b"", family, address, port, b""] = parts.as_slice() else { return Err(BadAddress::Form) };
    let family: u32 = parse_number(family).ok_or(BadAddress::Form)?;
    let parsed: Result<IpAddr, BadAddress> = match family {
        1 => parse_text(address).map(IpAddr::V4),
        // An address that cannot be read is not the client's, whatever it is.
        2 => parse_text(address).map(IpAddr::V6).map_err(|_| BadAddress::Foreign),
        _ => return Err(BadAddress::Family),
    };
    // An address of IPv6 may be one of IPv4 all the same.
    let is_own = match parsed {
        Ok(address) => Family::of(address) == own,
        Err(_) => family == u32::from(own.number()),
    };
    if !is_own {
        return Err(BadAddress::Family);
    }
    Ok((parsed?, parse_number(port).ok_or(BadAddress::Form)?).into())
}

/// The port, where it is one of the client's that may be connected to.
pub(super) fn admitted_port(told: SocketAddr, client: IpAddr) -> Result<u16, BadAddress> {
    if told.ip().to_canonical() != client.to_canonical() {
        Err(BadAddress::Foreign)
    } else if told.port() < PORT_MIN {
        Err(BadAddress::Privileged)
    } else {
        Ok(told.port())
    }
}

/// `h1,h2,h3,h4,p1,p2`, as the reply to `PASV` has it.
pub(super) fn in_numbers(address: Ipv4Addr, port: u16) -> String {
    let [a, b, c, d] = address.octets();
    let [high, low] = port.to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

fn parse_text<T: std::str::FromStr>(text: &[u8]) -> Result<T, BadAddress> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(BadAddress::Form)
}

/// Digits and nothing else.
pub(super) fn parse_number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if is_number { parse_text(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood() {
        for (text, expected) in [
            (&b"127,0,0,1,8,1"[..], Ok("127.0.0.1:2049")),
            (b"255,255,255,255,255,255", Ok("255.255.255.255:65535")),
            (b"127,0,0,1,1.1", Err(BadAddress::Form)),
            (b"X,0,0,1,1,1", Err(BadAddress::Form)),
            (b"127,0,0,1,1,1,1", Err(BadAddress::Form)),
            (b"127,0,0,1", Err(BadAddress::Form)),
            (b"256,0,0,1,1,1", Err(BadAddress::Form)),
            (b"127,0,0,1,-1,0", Err(BadAddress::Form)),
            (b"127,0,0,1,+1,0", Err(BadAddress::Form)),
            (b"127,0,0,1,,0", Err(BadAddress::Form)),
        ] {
            assert_eq!(parse_port(text), expected.map(|text| text.parse().unwrap()));
        }
    }

    #[test]
    fn addresses_that_tell_their_family_are_understood() {
        use Family::{V4, V6};
        for (text, own, expected) in [
            (&b"|1|127.0.0.1|2049|"[..], V4, Ok("127.0.0.1:2049")),
            (b"!2!::1!65535!", V6, Ok("[::1]:65535")),
            (b"|2|::ffff:127.0.0.1|2049|", V4, Ok("[::ffff:127.0.0.1]:2049")),
            (b"|2|fe80::1%eth0|2049|", V6, Err(BadAddress::Foreign)),
            (b"|2|::foo|2049|", V6, Err(BadAddress::Foreign)),
            (b"|3|127.0.0.1|2049|", V4, Err(BadAddress::Family)),
            (b"|1|127.0.0.1|2049|", V6, Err(BadAddress::Family)),
            (b"|2|::1|2049|", V4, Err(BadAddress::Family)),
            (b"|2|1.2.3.256|2049|", V4, Err(BadAddress::Family)),
            (b"|1|::1|2049|", V4, Err(BadAddress::Form)),
            (b"|2|127.0.0.1|2049|", V6, Err(BadAddress::Foreign)),
            (b"|1|1.2.3.4.5|2048|", V4, Err(BadAddress::Form)),
            (b"|1|127.0.0.1|65536|", V4, Err(BadAddress::Form)),
            (b"|1|127.0.0.1|-1|", V4, Err(BadAddress::Form)),
            (b"|1|127.0.0.1|2049", V4, Err(BadAddress::Form)),
            (b"|1|127.0.0.1|2049||", V4, Err(BadAddress::Form)),
            (b"|x|127.0.0.1|2049|", V4, Err(BadAddress::Form)),
            (b"||||", V4, Err(BadAddress::Form)),
            (b"||", V4, Err(BadAddress::Form)),
            (b"", V4, Err(BadAddress::Form)),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(parse_eprt(text, own), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn only_the_clients_own_ports_are_connected_to() {
        let admitted =
            |told: &str, client: &str| admitted_port(told.parse().unwrap(), client.parse().unwrap());
        assert_eq!(admitted("127.0.0.1:1024", "127.0.0.1"), Ok(1024));
        assert_eq!(admitted("127.0.0.1:1023", "127.0.0.1"), Err(BadAddress::Privileged));
        assert_eq!(admitted("127.0.0.2:2049", "127.0.0.1"), Err(BadAddress::Foreign));
        assert_eq!(admitted("127.0.0.2:80", "127.0.0.1"), Err(BadAddress::Foreign));
        assert_eq!(admitted("127.0.0.1:2049", "::ffff:127.0.0.1"), Ok(2049));
        assert_eq!(admitted("[::ffff:127.0.0.1]:2049", "127.0.0.1"), Ok(2049));
        assert_eq!(admitted("[::1]:2049", "::1"), Ok(2049));
        assert_eq!(admitted("[::1]:2049", "::2"), Err(BadAddress::Foreign));
        assert_eq!(Family::of("::ffff:127.0.0.1".parse().unwrap()), Family::V4);
        assert_eq!(in_numbers(Ipv4Addr::LOCALHOST, 2049), "127,0,0,1,8,1");
    }
}
