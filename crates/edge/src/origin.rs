//! Under which URL the caller reached this server, for the URLs that replies hold.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HOST, HeaderMap, HeaderName};
use http::{Uri, request};
use outbound::AddressRange;

use crate::extract::text;

static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The start of every URL in a reply: `public_url` where it is set, else what the request says.
/// Proxies' headers count only from addresses that are trusted. Without a usable host it is the
/// listener's own address.
pub(crate) fn base_url(
    head: &request::Parts,
    public_url: Option<&str>,
    trusted: &[AddressRange],
    peer: IpAddr,
    local: SocketAddr,
    tls: bool,
) -> String {
    if let Some(url) = public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let mut scheme = if tls { "https" } else { "http" };
    let mut host = own_host(&head.headers, &head.uri);
    if trusted.iter().any(|range| range.contains(peer)) {
        let (proto, through) = forwarded(&head.headers);
        match proto {
            Some(p) if p.eq_ignore_ascii_case("https") => scheme = "https",
            Some(p) if p.eq_ignore_ascii_case("http") => scheme = "http",
            _ => {}
        }
        host = through.filter(|h| is_host(h)).or(host);
    }
    match host.filter(|h| is_host(h)) {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{local}"),
    }
}

fn own_host<'h>(headers: &'h HeaderMap, uri: &'h Uri) -> Option<&'h str> {
    uri.authority()
        .map(|a| a.as_str())
        .or_else(|| text(headers, &HOST))
}

/// Protocol and host of the last hop that a proxy tells of: `Forwarded` (RFC 7239), else the
/// `X-Forwarded-` headers. What stands before that one may be the caller's own, since proxies
/// append.
fn forwarded(headers: &HeaderMap) -> (Option<&str>, Option<&str>) {
    if let Some(hop) = last(headers, &FORWARDED) {
        let (mut proto, mut host) = (None, None);
        for pair in hop.split(';') {
            let Some((name, value)) = pair.trim().split_once('=') else {
                continue;
            };
            let value = value.trim_matches('"');
            if name.eq_ignore_ascii_case("proto") {
                proto = Some(value);
            } else if name.eq_ignore_ascii_case("host") {
                host = Some(value);
            }
        }
        return (proto, host);
    }
    (
        last(headers, &FORWARDED_PROTO),
        last(headers, &FORWARDED_HOST),
    )
}

/// Whose call it is: the other end of the connection or, where that is a trusted proxy, whoever it
/// says that it forwards for. Proxies append, so the list is read from its end, for as long as it
/// names trusted ones; what stands before may be the caller's own invention.
pub(crate) fn client(headers: &HeaderMap, trusted: &[AddressRange], peer: IpAddr) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let name = match headers.contains_key(&FORWARDED) {
        true => &FORWARDED,
        false => &FORWARDED_FOR,
    };
    let lines = headers.get_all(name).iter().rev();
    for hop in lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')) {
        let said = match *name == FORWARDED {
            true => hop.split(';').find_map(|pair| {
                let (name, value) = pair.trim().split_once('=')?;
                name.eq_ignore_ascii_case("for").then_some(value)
            }),
            false => Some(hop),
        };
        // `unknown`, a name of the proxy's own, nothing: the proxy that said so is the last known.
        let Some(address) = said.and_then(address) else {
            break;
        };
        client = address.to_canonical();
        if !is_trusted(client) {
            break;
        }
    }
    client
}

/// An address as proxies write it: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`,
/// `"[2001:db8::1]:80"`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    bare.unwrap_or(text)
        .parse()
        .or_else(|_| text.parse().map(|with_port: SocketAddr| with_port.ip()))
        .ok()
}

/// The last element of a header's last line; empty where that line is not text.
fn last<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let line = headers.get_all(name).iter().next_back()?;
    let element = line.to_str().unwrap_or_default().rsplit(',').next();
    element.map(str::trim)
}

/// Whether a text may stand as the host of a URL: names, addresses, a port; nothing that could
/// carry markup or another part of a URL.
fn is_host(host: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    !host.is_empty() && host.len() <= 260 && host.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(headers: &[(&str, &str)], trusted: &[&str]) -> String {
        let mut request = http::Request::builder().uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let trusted: Vec<AddressRange> = trusted.iter().map(|t| t.parse().unwrap()).collect();
        let local = "127.0.0.1:8420".parse().unwrap();
        base_url(
            &head,
            None,
            &trusted,
            "10.1.2.3".parse().unwrap(),
            local,
            false,
        )
    }

    #[test]
    fn the_host_header_counts_and_a_bad_one_does_not() {
        assert_eq!(
            base(&[("host", "a.example:80")], &[]),
            "http://a.example:80"
        );
        assert_eq!(base(&[("host", "a/b@c")], &[]), "http://127.0.0.1:8420");
        assert_eq!(base(&[], &[]), "http://127.0.0.1:8420");
    }

    #[test]
    fn proxies_headers_count_from_trusted_proxies_only() {
        let xf = [
            ("host", "inner"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example, outer.example"),
        ];
        assert_eq!(base(&xf, &[]), "http://inner");
        assert_eq!(base(&xf, &["192.168.0.0/16"]), "http://inner");
        assert_eq!(base(&xf, &["10.0.0.0/8"]), "https://outer.example");
        let forwarded = [
            ("host", "inner"),
            (
                "forwarded",
                "for=5;host=evil.example, for=1.2.3.4; Proto=https;host=\"f.example\"",
            ),
        ];
        assert_eq!(base(&forwarded, &["10.1.2.3"]), "https://f.example");
    }

    #[test]
    fn of_what_proxies_append_the_last_counts_and_nothing_before_it() {
        let trusted = ["10.0.0.0/8"];
        let lines = [
            ("host", "inner"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-host", "outer.example"),
        ];
        assert_eq!(base(&lines, &trusted), "http://outer.example");
        let lines = [
            ("host", "inner"),
            ("forwarded", "proto=https;host=evil.example"),
            ("forwarded", "for=\"[::1]\";host=outer.example"),
        ];
        assert_eq!(base(&lines, &trusted), "http://outer.example");
        let silent = [
            ("host", "inner"),
            ("forwarded", "proto=https;host=evil.example, for=5"),
        ];
        assert_eq!(base(&silent, &trusted), "http://inner");
        let quoted = [
            ("host", "inner"),
            (
                "forwarded",
                "for=\"a;host=evil.example, for=5;host=f.example",
            ),
        ];
        assert_eq!(base(&quoted, &trusted), "http://f.example");
        for unusable in ["outer.example, ", "outer.example, a/b"] {
            let lines = [("host", "inner"), ("x-forwarded-host", unusable)];
            assert_eq!(base(&lines, &trusted), "http://inner", "{unusable}");
        }
    }

    #[test]
    fn the_client_is_whom_trusted_proxies_speak_for() {
        let seen = |peer: &str, headers: &[(&str, &str)], trusted: &[&str]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                let name: HeaderName = name.parse().unwrap();
                map.append(name, value.parse().unwrap());
            }
            let trusted: Vec<AddressRange> = trusted.iter().map(|t| t.parse().unwrap()).collect();
            client(&map, &trusted, peer.parse().unwrap()).to_string()
        };
        let xff = "x-forwarded-for";
        let inner = ["10.0.0.0/8"];
        // Nobody's word counts but a trusted proxy's.
        assert_eq!(seen("192.0.2.9", &[(xff, "1.1.1.1")], &inner), "192.0.2.9");
        assert_eq!(seen("10.0.0.1", &[(xff, "1.1.1.1")], &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &[], &inner), "10.0.0.1");
        assert_eq!(
            seen("::ffff:10.0.0.1", &[(xff, "1.1.1.1")], &inner),
            "1.1.1.1"
        );
        // The last that is not trusted counts; what stands before it is the caller's own.
        let chain = [(xff, "6.6.6.6, 1.1.1.1"), (xff, "10.0.0.7, 10.0.0.2")];
        assert_eq!(seen("10.0.0.1", &chain, &inner), "1.1.1.1");
        assert_eq!(seen("10.0.0.1", &[(xff, "10.0.0.7")], &inner), "10.0.0.7");
        // What is no address hides what stands before it.
        for (hop, shown) in [
            ("1.1.1.1:8080", "1.1.1.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("unknown", "10.0.0.1"),
            ("", "10.0.0.1"),
            ("6.6.6.6, nonsense", "10.0.0.1"),
        ] {
            assert_eq!(seen("10.0.0.1", &[(xff, hop)], &inner), shown, "{hop}");
        }
        for (hop, shown) in [
            ("for=6.6.6.6, proto=https;For=\"1.1.1.1:5\"", "1.1.1.1"),
            ("for=\"[2001:db8::1]:80\"", "2001:db8::1"),
            ("for=6.6.6.6, for=_hidden", "10.0.0.1"),
            ("for=6.6.6.6, proto=https", "10.0.0.1"),
        ] {
            // `Forwarded` is the one that counts where there are both.
            let headers = [("forwarded", hop), (xff, "7.7.7.7")];
            assert_eq!(seen("10.0.0.1", &headers, &inner), shown, "{hop}");
        }
    }
}
