//! Which hosts and addresses may be reached.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::AddressRange;

/// One entry of the list of what may be reached: a host (`files.example.com`), all hosts below a
/// domain (`*.blob.core.windows.net`), or addresses (`10.1.0.0/16`, `192.0.2.7`). With `http://`
/// before it the entry allows plain HTTP beside HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    plain: bool,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Host(String),
    /// With the dot.
    Below(String),
    Range(AddressRange),
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Entry, String> {
        let text = text.trim().to_ascii_lowercase();
        let (plain, rest) = match text.strip_prefix("http://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("https://").unwrap_or(&text)),
        };
        let wrong = || {
            format!(
                "\"{text}\" is not a host, *.domain or address range, perhaps with http:// before it"
            )
        };
        if let Ok(range) = rest.parse() {
            let what = What::Range(range);
            return Ok(Entry { plain, what });
        }
        let (name, below) = match rest.strip_prefix('*') {
            Some(rest) => (rest.strip_prefix('.').ok_or_else(wrong)?, true),
            None => (rest, false),
        };
        let good = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(good) {
            return Err(wrong());
        }
        let what = match below {
            true => What::Below(format!(".{name}")),
            false => What::Host(name.to_owned()),
        };
        Ok(Entry { plain, what })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.plain {
            f.write_str("http://")?;
        }
        match &self.what {
            What::Host(name) => f.write_str(name),
            What::Below(name) => write!(f, "*{name}"),
            What::Range(range) => range.fmt(f),
        }
    }
}

/// The list. An empty one allows nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct AllowList(pub(crate) Vec<Entry>);

impl AllowList {
    fn entries(&self, plain: bool) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(move |entry| entry.plain || !plain)
    }

    /// Whether the host is allowed by its name. `plain` asks about plain HTTP.
    fn names(&self, host: &str, plain: bool) -> bool {
        self.entries(plain).any(|entry| match &entry.what {
            What::Host(name) => host.eq_ignore_ascii_case(name),
            What::Below(suffix) => host
                .len()
                .checked_sub(suffix.len())
                .and_then(|start| host.get(start..))
                .is_some_and(|end| host.len() > suffix.len() && end.eq_ignore_ascii_case(suffix)),
            What::Range(_) => false,
        })
    }

    /// Whether it is worth asking for the host's addresses.
    pub(crate) fn may_reach(&self, host: &str, plain: bool) -> bool {
        match literal(host) {
            Some(address) => self.reaches(host, address, plain),
            None => {
                self.names(host, plain)
                    || self
                        .entries(plain)
                        .any(|entry| matches!(entry.what, What::Range(_)))
            }
        }
    }

    /// Whether this address of the host may be connected to: one in a listed range, or a public
    /// one of a host that is listed by name. A name alone never leads to a private address,
    /// whatever its owner lets it resolve to.
    pub(crate) fn reaches(&self, host: &str, address: IpAddr, plain: bool) -> bool {
        let in_range = self.entries(plain).any(|entry| match &entry.what {
            What::Range(range) => range.contains(address),
            _ => false,
        });
        in_range || (is_public(address) && self.names(host, plain))
    }
}

/// The address that a host is written as.
fn literal(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    bare.parse().ok()
}

/// Whether an address belongs to the public network: not to this machine, a private network, a
/// link, a group or a range that is set aside. An IPv4 address inside of an IPv6 one counts as
/// what it is.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => {
            let segments = address.segments();
            match segments {
                // Unspecified, loopback, and IPv4 in its oldest disguise.
                [0, 0, 0, 0, 0, 0, ..] => false,
                // NAT64 and 6to4 lead to the IPv4 address inside.
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(v4(high, low)),
                [0x64, 0xff9b, ..] => false,
                [0x2002, high, low, ..] => is_public_v4(v4(high, low)),
                // Teredo and documentation.
                [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => false,
                _ => is_global_v6(address),
            }
        }
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

/// All that is handed out as global unicast lies in 2000::/3.
fn is_global_v6(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xe000 == 0x2000
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a >= 224
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || (a == 100 && b & 0xc0 == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && b & 0xfe == 18))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> AllowList {
        AllowList(entries.iter().map(|e| e.parse().unwrap()).collect())
    }

    fn reaches(list: &AllowList, host: &str, address: &str, plain: bool) -> bool {
        list.reaches(host, address.parse().unwrap(), plain)
    }

    #[test]
    fn entries_are_read_and_shown() {
        for (given, shown) in [
            ("Files.Example.com", "files.example.com"),
            ("https://a", "a"),
            ("*.blob.core.windows.net", "*.blob.core.windows.net"),
            ("http://10.0.0.0/8", "http://10.0.0.0/8"),
            ("127.0.0.1", "127.0.0.1/32"),
            ("http://localhost", "http://localhost"),
            ("::1", "::1/128"),
        ] {
            let entry: Entry = given.parse().unwrap();
            assert_eq!(entry.to_string(), shown);
            assert_eq!(shown.parse::<Entry>().unwrap(), entry);
        }
        for wrong in [
            "",
            "*",
            "*.",
            "a/b",
            "http://",
            "ftp://a",
            "a b",
            "*a.b",
            "10.0.0.0/33",
        ] {
            assert!(wrong.parse::<Entry>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_leads_to_public_addresses_only() {
        let list = list(&["files.example.com", "*.blob.example"]);
        assert!(reaches(&list, "Files.example.com", "93.184.216.34", false));
        assert!(reaches(&list, "a.b.blob.example", "93.184.216.34", false));
        assert!(!reaches(&list, ".blob.example", "93.184.216.34", false));
        assert!(!reaches(&list, "blob.example", "93.184.216.34", false));
        assert!(!reaches(&list, "evilblob.example", "93.184.216.34", false));
        assert!(!reaches(
            &list,
            "files.example.com.evil",
            "93.184.216.34",
            false
        ));
        assert!(!reaches(&list, "files.example.com", "93.184.216.34", true));
        for private in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1"] {
            assert!(
                !reaches(&list, "files.example.com", private, false),
                "{private}"
            );
        }
    }

    #[test]
    fn a_range_is_reached_by_any_name_and_plainly_only_where_it_says_so() {
        let list = list(&["10.1.0.0/16", "http://127.0.0.1"]);
        assert!(reaches(&list, "files.intra", "10.1.2.3", false));
        assert!(!reaches(&list, "files.intra", "10.1.2.3", true));
        assert!(!reaches(&list, "files.intra", "10.2.2.3", false));
        assert!(reaches(&list, "localhost", "127.0.0.1", true));
        assert!(reaches(&list, "localhost", "::ffff:127.0.0.1", true));
        assert!(list.may_reach("127.0.0.1", true));
        assert!(!list.may_reach("127.0.0.2", true));
        assert!(!list.may_reach("[::1]", true));
        assert!(!AllowList::default().may_reach("example.com", false));
    }

    #[test]
    fn what_is_set_aside_is_not_public() {
        for text in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.8.9.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
            "fec0::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "9.9.9.9",
            "100.128.0.1",
            "2606:4700::1",
            "64:ff9b::909:909",
            "2002:909:909::",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
