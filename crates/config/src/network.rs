//! Networks and hosts.

use std::net::IpAddr;

/// A list of networks in CIDR notation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<(IpAddr, u8)>);

impl Networks {
    /// Reads a comma-separated list; the offending part when one is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (address, bits) = part.split_once('/').map_or((part, None), |(a, b)| (a, Some(b)));
                let address: IpAddr = address.parse().map_err(|_| part.to_owned())?;
                let most = if address.is_ipv4() { 32 } else { 128 };
                let bits = bits.map_or(Ok(most), str::parse).map_err(|_| part.to_owned())?;
                if bits <= most { Ok((address, bits)) } else { Err(part.to_owned()) }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether an address lies in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|(network, bits)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                same_prefix(u32::from(*network).into(), u32::from(address).into(), *bits, 32)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                same_prefix(u128::from(*network), u128::from(address), *bits, 128)
            }
            _ => false,
        })
    }
}

fn same_prefix(a: u128, b: u128, bits: u8, width: u8) -> bool {
    bits == 0 || (a ^ b) >> (width - bits) == 0
}

/// Splits `host:port`; an IPv6 host keeps its brackets.
pub fn split_host(host: &str) -> (&str, Option<&str>) {
    if host.starts_with('[') {
        return match host.split_once(']') {
            Some((name, port)) => (host.get(..=name.len()).unwrap_or(host), port.strip_prefix(':')),
            None => (host, None),
        };
    }
    host.rsplit_once(':').map_or((host, None), |(name, port)| (name, Some(port)))
}

/// Whether a host name without port means this machine.
pub fn is_loopback(name: &str) -> bool {
    matches!(name, "localhost" | "127.0.0.1" | "[::1]") || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        let networks = Networks::parse("10.0.0.0/8, ::1, 192.168.1.7").unwrap();
        let check =
            |address: &str, expected| assert_eq!(networks.contains(address.parse().unwrap()), expected, "{address}");
        check("10.1.2.3", true);
        check("11.1.2.3", false);
        check("192.168.1.7", true);
        check("192.168.1.8", false);
        check("::1", true);
        check("::2", false);
        assert!(Networks::parse("10.0.0.0/33").is_err());
        assert!(Networks::parse("proxy").is_err());
    }

    #[test]
    fn hosts_are_split_from_their_port() {
        assert_eq!(split_host("localhost:8000"), ("localhost", Some("8000")));
        assert_eq!(split_host("jhe.example.org"), ("jhe.example.org", None));
        assert_eq!(split_host("[::1]:8000"), ("[::1]", Some("8000")));
        assert_eq!(split_host("[::1]"), ("[::1]", None));
    }
}
