//! The operator's token: a file in the data directory that may be replaced while the server runs.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use faults::Fault;

use crate::files;
use crate::seal::{KeyDigest, Sealer, random_token};

/// More than any token has, in bytes: a file that holds more is none.
const MOST: u64 = 4096;

/// The token and the file that it stands in.
///
/// The file is read at each sign-in that nothing else decides, so that replacing it changes the
/// token at once and removing it lets nobody in.
#[derive(Debug)]
pub(crate) struct Operator {
    path: PathBuf,
    sealer: Arc<Sealer>,
    /// What the file held when it was last read.
    last: ArcSwapOption<KeyDigest>,
}

impl Operator {
    /// The token of that file, made (mode 0600, whole or not at all) where it is absent or empty.
    pub(crate) fn open(path: PathBuf, sealer: Arc<Sealer>) -> io::Result<Operator> {
        let token = match read(&path) {
            Ok(token) => token,
            Err(e) if e.kind() == io::ErrorKind::NotFound || is_empty(&path) => {
                let token = random_token();
                files::write_private_file(&path, format!("{token}\n").as_bytes())?;
                token
            }
            Err(e) => return Err(e),
        };
        let digest = sealer.digest_key(&token);
        Ok(Operator {
            path,
            sealer,
            last: ArcSwapOption::from_pointee(digest),
        })
    }

    /// Whether the digest is that of the token that stands in the file now. The time it takes does
    /// not depend on the digest.
    ///
    /// # Errors
    /// `InternalError.AdminAuthenticationFailed` when the file is gone, cannot be read or holds no
    /// token: then nobody is the operator.
    pub(crate) fn matches(&self, presented: &KeyDigest) -> Result<bool, Fault> {
        let token = read(&self.path).map_err(|e| {
            self.last.store(None);
            faults::internal_error::admin_authentication_failed()
                .caused_by(&e)
                .because(format!(
                    "the operator's token {} cannot be read",
                    self.path.display()
                ))
        })?;
        let digest = self.sealer.digest_key(&token);
        if self.last.load().as_deref() != Some(&digest) {
            tracing::info!("the operator's token was replaced");
            self.last.store(Some(Arc::new(digest)));
        }
        Ok(digest.matches(presented))
    }

    /// Whether the digest is that of the token as it was last read.
    pub(crate) fn was(&self, presented: &KeyDigest) -> bool {
        let last = self.last.load();
        last.as_deref().is_some_and(|last| last.matches(presented))
    }
}

fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut text = String::new();
    file.take(MOST + 1).read_to_string(&mut text)?;
    let token = text.trim();
    if token.is_empty() || text.len() as u64 > MOST {
        return Err(io::Error::other("it holds no token"));
    }
    Ok(token.to_owned())
}

fn is_empty(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::InternalError::AdminAuthenticationFailed;
    use std::fs;

    #[test]
    fn the_file_decides_at_once_and_without_it_nobody_gets_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("operator.token");
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let operator = Operator::open(path.clone(), sealer.clone()).unwrap();
        let made = fs::read_to_string(&path).unwrap();
        let made = sealer.digest_key(made.trim());
        assert!(operator.matches(&made).unwrap() && operator.was(&made));

        fs::write(&path, "another one\n").unwrap();
        let another = sealer.digest_key("another one");
        assert!(operator.was(&made), "not looked at yet");
        assert!(!operator.matches(&made).unwrap());
        assert!(operator.matches(&another).unwrap());
        assert!(operator.was(&another) && !operator.was(&made));

        for unusable in ["", " \n", &"x".repeat(5000)] {
            fs::write(&path, unusable).unwrap();
            let fault = operator.matches(&another).unwrap_err();
            assert!(fault.is(&AdminAuthenticationFailed));
        }
        fs::remove_file(&path).unwrap();
        let fault = operator.matches(&another).unwrap_err();
        assert!(fault.is(&AdminAuthenticationFailed));
        assert!(fault.cause().unwrap().contains("operator.token"));
        assert!(!operator.was(&another));
        fs::create_dir(&path).unwrap();
        assert!(operator.matches(&another).is_err());

        fs::remove_dir(&path).unwrap();
        fs::write(&path, "another one").unwrap();
        assert!(operator.matches(&another).unwrap());
        assert!(!operator.matches(&made).unwrap());
    }

    #[test]
    fn a_token_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("operator.token");
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        fs::write(&path, "\n").unwrap();
        Operator::open(path.clone(), sealer.clone()).unwrap();
        let made = fs::read_to_string(&path).unwrap();
        assert_eq!(made.trim().len(), 43);
        Operator::open(path.clone(), sealer).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), made);
    }
}
