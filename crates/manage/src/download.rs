//! Fetching what a definition names: its resources, and the definition itself.

use std::sync::Arc;

use bytes::Bytes;
use faults::{Fault, bad_argument};
use outbound::{Answer, Connection, Credentials, Failure, Kept, Kind, SharedKey, Source};
use store::{Incoming, Sha256};

use crate::Inner;
use crate::deploy::broken;
use crate::{diagnostics, location};

/// The storage account that a definition names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) key: String,
}

/// Where something is.
#[derive(Debug, Clone)]
pub(crate) enum Located {
    /// In this installation.
    Here(Sha256),
    /// Elsewhere; it is still to be fetched.
    Away(Source),
}

impl Inner {
    /// Where `uri` leads, which may be anything that a package can name.
    ///
    /// # Errors
    /// `BadArgument.InvalidBlob` for what cannot be read or is not allowed here;
    /// `BadArgument.InvalidBlobConnectionString`; `BadArgument.BlobNotFound` for a blob that was
    /// not uploaded; `InternalError.UnknownError` when the disk fails.
    pub(crate) fn locate(
        &self,
        uri: &str,
        credentials: &str,
        account: &Account,
    ) -> Result<Located, Fault> {
        if !location::is_remote(uri) {
            let sha256 = location::uploaded_blob(uri)?;
            if !self.store.blobs.keep(&sha256)? {
                return Err(faults::bad_argument::blob_not_found(
                    format!("umpire:sha256:{sha256}"),
                    "no blob with this SHA-256 has been uploaded",
                ));
            }
            return Ok(Located::Here(sha256));
        }
        let source = Source {
            url: uri.to_owned(),
            credentials: credentials_of(uri, credentials, account)?,
        };
        let outbound = self.options.load().outbound.clone();
        match outbound.check(&source) {
            Ok(()) => Ok(Located::Away(source)),
            Err(failure) => Err(fault_of(&source, &failure)),
        }
    }

    /// Fetches something into the store, from the cache where it is still the same.
    ///
    /// # Errors
    /// As [`fault_of`]; `InternalError.FailedStoringWebService` or `.ContainerValidationFailed`
    /// when it cannot be stored.
    pub(crate) async fn fetch(self: &Arc<Self>, source: &Source) -> Result<Sha256, Fault> {
        let options = self.options.load_full();
        let name = source.shown();
        let mut kept = match options.cache.clone() {
            Some(cache) => {
                let name = name.clone();
                let find = move || cache.find(&name);
                tokio::task::spawn_blocking(find)
                    .await
                    .map_err(|e| broken(&e))?
            }
            None => None,
        };
        loop {
            let blobs = self.store.blobs.clone();
            let etag = kept.as_ref().map(|kept| kept.etag.clone());
            let answer = options
                .outbound
                .get(source, u64::MAX, etag.as_deref(), move || blobs.incoming())
                .await
                .map_err(|failure| fault_of(source, &failure))?;
            let (inner, name) = (self.clone(), name.clone());
            let cache = options.cache.clone();
            let had = kept.take();
            let stored = tokio::task::spawn_blocking(move || match (answer, had, cache) {
                (Answer::Content(fetched), _, cache) => {
                    let (sha256, _) = fetched.sink.finish().map_err(|e| not_stored(&e))?;
                    if let (Some(cache), Some(etag)) = (cache, fetched.etag) {
                        inner.remember(&cache, &name, etag, &sha256);
                    }
                    Ok(Some(sha256))
                }
                (Answer::NotModified, Some(kept), Some(cache)) => {
                    inner.recall(&cache, &name, &kept)
                }
                // Nobody asked whether it is still the same.
                (Answer::NotModified, ..) => Ok(None),
            });
            // What the cache had was damaged: then it is fetched after all.
            if let Some(sha256) = stored.await.map_err(|e| broken(&e))?? {
                return Ok(sha256);
            }
        }
    }

    fn remember(&self, cache: &outbound::Cache, name: &str, etag: String, sha256: &Sha256) {
        let kept = Kept {
            etag,
            sha256: sha256.0,
        };
        let put = self
            .store
            .blobs
            .open(sha256)
            .map(|file| cache.put(name, &kept, file));
        if let Ok(Err(error)) = put {
            // The next deploy fetches it again.
            tracing::warn!(%error, "a fetched resource cannot be kept in the cache");
        }
    }

    /// Takes from the cache what the other side said is still the same; `None` where it is not
    /// what it was when it was put there.
    fn recall(
        &self,
        cache: &outbound::Cache,
        name: &str,
        kept: &Kept,
    ) -> Result<Option<Sha256>, Fault> {
        let sha256 = Sha256(kept.sha256);
        if self.store.blobs.keep(&sha256)? {
            return Ok(Some(sha256));
        }
        let copied = (|| -> std::io::Result<Incoming> {
            let mut incoming = self.store.blobs.incoming()?;
            std::io::copy(&mut cache.content(name)?, &mut incoming)?;
            Ok(incoming)
        })();
        match copied {
            Ok(incoming) => {
                let (found, _) = incoming.finish().map_err(|e| not_stored(&e))?;
                if found == sha256 {
                    return Ok(Some(sha256));
                }
            }
            Err(error) => tracing::warn!(%error, "a cached resource cannot be read"),
        }
        cache.forget(name);
        Ok(None)
    }

    /// Fetches something into memory, at most `limit` bytes.
    ///
    /// # Errors
    /// As [`fault_of`].
    pub(crate) async fn fetch_whole(&self, source: &Source, limit: u64) -> Result<Bytes, Fault> {
        let outbound = self.options.load().outbound.clone();
        let fetched = outbound.get_whole_from(source, limit).await;
        fetched.map_err(|failure| fault_of(source, &failure))
    }
}

fn not_stored(error: &std::io::Error) -> Fault {
    faults::internal_error::failed_storing_web_service()
        .caused_by(error)
        .because("a fetched resource cannot be stored")
}

/// How a blob is read: by its own signature, by credentials of any form, or by the key of the
/// storage account that it lies in.
fn credentials_of(uri: &str, given: &str, account: &Account) -> Result<Credentials, Fault> {
    let given = given.trim();
    let signed = |text: &str| text.to_ascii_lowercase().contains("sig=");
    if given.starts_with('?') || signed(given) {
        return Ok(Credentials::Signature(given.to_owned()));
    }
    let lies_in = location::account_of(uri);
    if !given.is_empty() {
        if given.contains(';') || given.to_ascii_lowercase().starts_with("usedevelopment") {
            return match Connection::parse(given) {
                Ok(connection) => Ok(connection.credentials),
                Err(problem) => Err(faults::bad_argument::invalid_blob_connection_string(
                    problem,
                )),
            };
        }
        return lies_in
            .and_then(|account| SharedKey::new(account, given))
            .map(Credentials::SharedKey)
            .ok_or_else(|| {
                faults::bad_argument::invalid_blob(Source::new(uri).shown())
                    .because("its credentials are neither a signature nor an account's key")
            });
    }
    if signed(uri) || account.key.is_empty() {
        return Ok(Credentials::None);
    }
    let own = lies_in.filter(|name| name.eq_ignore_ascii_case(&account.name));
    match own {
        None => Ok(Credentials::None),
        // A key can be a connection string, which says more.
        Some(_) if diagnostics::is_connection(&account.key) => Connection::parse(&account.key)
            .map(|connection| connection.credentials)
            .map_err(bad_argument::invalid_blob_connection_string),
        Some(name) => SharedKey::new(name, &account.key)
            .map(Credentials::SharedKey)
            .ok_or_else(|| {
                faults::bad_argument::invalid_blob(Source::new(uri).shown())
                    .because("the storage account's key is not base64")
            }),
    }
}

/// A failure as its fault: what the definition names wrongly is the caller's, what did not answer
/// is not.
pub(crate) fn fault_of(source: &Source, failure: &Failure) -> Fault {
    let shown = source.shown();
    let text = failure.text.clone();
    match failure.kind {
        Kind::Malformed | Kind::NotAllowed => faults::bad_argument::invalid_blob(shown),
        Kind::Refused if !failure.transient => {
            return faults::bad_argument::blob_not_found(shown, text);
        }
        Kind::TooLarge => faults::bad_argument::request_body_invalid(),
        Kind::Local => faults::internal_error::failed_storing_web_service(),
        Kind::Refused | Kind::Unreachable => faults::internal_error::resource_download(),
    }
    .because(format!("{}: {text}", source.shown()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account {
            name: "acct".into(),
            key: "a2V5".into(),
        }
    }

    #[test]
    fn a_blob_is_read_by_what_goes_with_it() {
        let own = SharedKey::new("acct", "a2V5").unwrap();
        let other = SharedKey::new("other", "b3RoZXI=").unwrap();
        let at = "https://acct.blob.core.windows.net/c/b";
        for (uri, given, expected) in [
            (at, "", Credentials::SharedKey(own.clone())),
            (
                at,
                "?sv=1&sig=x",
                Credentials::Signature("?sv=1&sig=x".into()),
            ),
            (
                at,
                "sv=1&sig=x",
                Credentials::Signature("sv=1&sig=x".into()),
            ),
            (
                "https://acct.blob.core.windows.net/c/b?sig=y",
                "",
                Credentials::None,
            ),
            ("https://files.example/b", "", Credentials::None),
            (
                "https://other.blob.core.windows.net/c/b",
                "",
                Credentials::None,
            ),
            (
                "https://other.blob.core.windows.net/c/b",
                "b3RoZXI=",
                Credentials::SharedKey(other.clone()),
            ),
            (
                "https://files.example/b",
                "AccountName=other;AccountKey=b3RoZXI=",
                Credentials::SharedKey(other),
            ),
        ] {
            assert_eq!(
                credentials_of(uri, given, &account()).unwrap(),
                expected,
                "{uri} {given}"
            );
        }
        // The account's key may be a whole connection string.
        let whole = Account {
            name: "acct".into(),
            key: "BlobEndpoint=http://127.0.0.1:1/acct;AccountName=acct;AccountKey=a2V5".into(),
        };
        let found = credentials_of("http://127.0.0.1:1/acct/c/b", "", &whole).unwrap();
        assert_eq!(found, Credentials::SharedKey(own));
        use faults::rows::BadArgument as Row;
        let fault = credentials_of("https://files.example/b", "AccountName=x;", &account());
        assert!(fault.unwrap_err().is(&Row::InvalidBlobConnectionString));
        let fault = credentials_of("https://files.example/b", "b3RoZXI=", &account());
        assert!(fault.unwrap_err().is(&Row::InvalidBlob));
    }
}
