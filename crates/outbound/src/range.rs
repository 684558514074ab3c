//! Ranges of addresses.

use std::fmt;
use std::net::IpAddr;

/// A range of addresses: `10.0.0.0/8`, `::1`, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    base: IpAddr,
    bits: u8,
}

impl std::str::FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let base: IpAddr = address
            .parse()
            .map_err(|_| format!("{address:?} is not an IP address"))?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|b| *b <= most)
                .ok_or_else(|| format!("/{bits} is not between /0 and /{most}"))?,
        };
        Ok(AddressRange { base, bits })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl AddressRange {
    /// Whether the address lies in the range; an IPv4 address that came over an IPv6 socket counts
    /// as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u8| {
            let shift = u32::from(width - self.bits);
            a.checked_shr(shift).unwrap_or(0) == b.checked_shr(shift).unwrap_or(0)
        };
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(a)) => {
                same(u32::from(base).into(), u32::from(a).into(), 32)
            }
            (IpAddr::V6(base), IpAddr::V6(a)) => same(base.into(), a.into(), 128),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_parse_and_contain() {
        let range = |t: &str| t.parse::<AddressRange>();
        assert!(
            range("0.0.0.0/0")
                .unwrap()
                .contains("9.9.9.9".parse().unwrap())
        );
        assert!(range("::1").unwrap().contains("::1".parse().unwrap()));
        assert!(!range("::1").unwrap().contains("127.0.0.1".parse().unwrap()));
        assert!(
            range("127.0.0.0/8")
                .unwrap()
                .contains("::ffff:127.0.0.1".parse().unwrap())
        );
        for wrong in ["x", "10.0.0.0/33", "10.0.0.0/", "::/129"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
