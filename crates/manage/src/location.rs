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
        return Err(
            invalid().because("only blobs that were uploaded to this installation are read")
        );
    }
    Sha256::parse(digits).ok_or_else(invalid)
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
