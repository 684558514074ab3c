//! Where a package says that its resources are.

use faults::Fault;
use store::Sha256;

/// The scheme of a blob that was put into this installation: `umpire:sha256:{64 digits}`.
pub(crate) const SCHEME: &str = "umpire:sha256:";

/// Reads the location of a resource asset.
///
/// # Errors
/// `BadArgument.InvalidBlob` for any other scheme and for a hash that is none. What stands behind
/// the `?` of a URI is a signature and is not repeated.
pub(crate) fn uploaded_blob(uri: &str) -> Result<Sha256, Fault> {
    let invalid = || faults::bad_argument::invalid_blob(without_signature(uri));
    let (scheme, digits) = uri.split_at_checked(SCHEME.len()).ok_or_else(invalid)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(invalid()
            .because("it is neither a URL nor a blob that was uploaded to this installation"));
    }
    Sha256::parse(digits).ok_or_else(invalid)
}

/// Whether a location is fetched: a URL of the schemes that one can be fetched by.
pub(crate) fn is_remote(uri: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        uri.trim_start()
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

/// The storage account that a blob's URL leads to: the first label of the host
/// (`acct.blob.core.windows.net`), or the first word of the path where the host is an address (the
/// storage emulator).
pub(crate) fn account_of(uri: &str) -> Option<&str> {
    let (_, rest) = uri.trim_start().split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (name, domain) = host.split_once('.')?;
    if domain.to_ascii_lowercase().starts_with("blob.") {
        return Some(name);
    }
    let address = host.rsplit_once(':').map_or(host, |(address, _)| address);
    address.parse::<std::net::Ipv4Addr>().ok()?;
    path.split('/').next().filter(|name| !name.is_empty())
}

/// A URI as it may be shown.
fn without_signature(uri: &str) -> &str {
    uri.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::BadArgument as Row;

    #[test]
    fn an_account_is_read_from_a_blobs_url() {
        for (uri, account) in [
            ("https://acct.blob.core.windows.net/c/b", Some("acct")),
            ("HTTPS://acct.BLOB.core.chinacloudapi.cn/c/b", Some("acct")),
            (
                "http://127.0.0.1:10000/devstoreaccount1/c/b",
                Some("devstoreaccount1"),
            ),
            ("https://files.example/c/b", None),
            ("umpire:sha256:00", None),
        ] {
            assert_eq!(account_of(uri), account, "{uri}");
        }
        assert!(is_remote("HTTP://x") && is_remote("https://x"));
        assert!(!is_remote("umpire:sha256:00") && !is_remote("htt"));
    }

    #[test]
    fn only_uploaded_blobs_are_resolved_and_signatures_never_shown() {
        let hash = Sha256::of(b"model");
        for scheme in ["umpire:sha256:", "UMPIRE:SHA256:"] {
            assert_eq!(uploaded_blob(&format!("{scheme}{hash}")).unwrap(), hash);
        }
        for (uri, shown) in [
            ("", ""),
            ("umpire:sha256:", "umpire:sha256:"),
            ("umpire:sha256:../../ledger", "umpire:sha256:../../ledger"),
            ("umpire:sha1:00", "umpire:sha1:00"),
            (
                "https://a.blob/c/m.ilearner?sv=1&sig=secret",
                "https://a.blob/c/m.ilearner",
            ),
            ("ümpire:sha256é", "ümpire:sha256é"),
            ("umpire:sha256é:0", "umpire:sha256é:0"),
        ] {
            let fault = uploaded_blob(uri).unwrap_err();
            assert!(fault.is(&Row::InvalidBlob), "{uri}");
            assert_eq!(fault.details()[0].args, [shown]);
        }
    }
}
