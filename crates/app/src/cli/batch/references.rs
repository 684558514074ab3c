//! Where the inputs and outputs of a job are: files here, or blobs that the server reaches.

use std::path::{Path, PathBuf};

use wire::bes_2_0::BlobReference;

use crate::exit::Failure;

/// What stands before a blob of the server's own store.
const OWN: &str = "blob:";

/// One end of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A file on this machine.
    File(PathBuf),
    /// A blob that the server reads or writes itself.
    Blob(BlobReference),
}

impl Place {
    /// `blob:container/name` is a blob of the server's own store; with `://` it is a URL; else it is
    /// a file here.
    pub(super) fn parse(text: &str) -> Result<Place, Failure> {
        if let Some(blob) = text.strip_prefix(OWN) {
            return Ok(Place::Blob(BlobReference {
                relative_location: Some(blob.to_owned()),
                ..BlobReference::default()
            }));
        }
        if text.is_empty() {
            return Err(Failure::Usage("a file's name is empty".to_owned()));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Place::File(PathBuf::from(text)));
        };
        let is_web = ["http", "https"]
            .iter()
            .any(|s| scheme.eq_ignore_ascii_case(s));
        // A signature is a string of its own.
        let signed = rest.split_once('?').filter(|_| is_web);
        Ok(Place::Blob(match signed {
            Some((place, signature)) => {
                let (host, path) = place.split_once('/').unwrap_or((place, ""));
                BlobReference {
                    connection_string: None,
                    base_location: Some(format!("{scheme}://{host}/")),
                    relative_location: Some(path.to_owned()),
                    sas_blob_token: Some(format!("?{signature}")),
                }
            }
            None => BlobReference {
                relative_location: Some(text.to_owned()),
                ..BlobReference::default()
            },
        }))
    }
}

/// Inputs or outputs by their ports: `path`, where there is one port, or `port=path`.
pub(super) fn by_port(
    given: &[String],
    flag: &str,
    ports: &[String],
) -> Result<Vec<(String, Place)>, Failure> {
    let mut named: Vec<(String, Place)> = Vec::new();
    for text in given {
        let (port, path) = port_of(text, flag, ports)?;
        if named.iter().any(|(known, _)| *known == port) {
            return Err(Failure::Usage(format!("{flag} is given twice for {port}")));
        }
        named.push((port, Place::parse(path)?));
    }
    Ok(named)
}

fn port_of<'t>(text: &'t str, flag: &str, ports: &[String]) -> Result<(String, &'t str), Failure> {
    let names = || match ports {
        [] => "the service has none".to_owned(),
        _ => format!("the service has {}", ports.join(", ")),
    };
    if let Some((port, path)) = text.split_once('=') {
        if ports.iter().any(|known| known == port) {
            return Ok((port.to_owned(), path));
        }
        // A file's name or a URL may have the sign too.
        if !port.contains(['/', '.', ':']) && !Path::new(text).exists() {
            return Err(Failure::Usage(format!(
                "{flag} {text}: there is no {port}; {}",
                names()
            )));
        }
    }
    match ports {
        [only] => Ok((only.clone(), text)),
        _ => Err(Failure::Usage(format!(
            "{flag} {text}: say which, as {flag} NAME={text}; {}",
            names()
        ))),
    }
}

/// The last word of a path, for the blob that has its content.
pub(super) fn file_name(path: &Path) -> Result<String, Failure> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned)
        .ok_or_else(|| Failure::Usage(format!("{} names no file", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relative(text: &str) -> Place {
        Place::Blob(BlobReference {
            relative_location: Some(text.into()),
            ..BlobReference::default()
        })
    }

    #[test]
    fn a_path_is_a_file_and_a_url_or_a_blob_the_servers() {
        let parse = |text| Place::parse(text).unwrap();
        assert_eq!(parse("a/b.csv"), Place::File("a/b.csv".into()));
        assert_eq!(parse("C:x"), Place::File("C:x".into()));
        assert_eq!(parse("blob:in/rows.csv"), relative("in/rows.csv"));
        for url in ["s3://b/k.csv", "file:///data/x.csv", "https://h/c/b.csv"] {
            assert_eq!(parse(url), relative(url));
        }
        assert_eq!(
            parse("https://h/c/b.csv?sv=1&sig=x%2F?"),
            Place::Blob(BlobReference {
                connection_string: None,
                base_location: Some("https://h/".into()),
                relative_location: Some("c/b.csv".into()),
                sas_blob_token: Some("?sv=1&sig=x%2F?".into()),
            })
        );
        assert!(Place::parse("").is_err());
    }

    #[test]
    fn a_port_may_be_left_out_where_there_is_one() {
        let ports = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let one = ports(&["input1"]);
        let two = ports(&["left", "right"]);
        let parse = |text: &str, ports: &[String]| {
            by_port(&[text.to_owned()], "--input", ports).map(|mut named| named.remove(0))
        };
        let file = |text: &str| Place::File(text.into());
        assert_eq!(
            parse("a.csv", &one).unwrap(),
            ("input1".into(), file("a.csv"))
        );
        assert_eq!(
            parse("input1=a=b.csv", &one).unwrap(),
            ("input1".into(), file("a=b.csv"))
        );
        assert_eq!(
            parse("s3://b/year=7/x.csv", &one).unwrap().1,
            relative("s3://b/year=7/x.csv")
        );
        assert_eq!(parse("right=r.csv", &two).unwrap().0, "right");
        for (text, ports, words) in [
            (
                "wrong=a.csv",
                &one,
                "there is no wrong; the service has input1",
            ),
            ("a.csv", &two, "the service has left, right"),
        ] {
            match parse(text, ports) {
                Err(Failure::Usage(said)) => assert!(said.contains(words), "{said}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        let twice = ["left=a.csv".to_owned(), "left=b.csv".to_owned()];
        assert!(by_port(&twice, "--input", &two).is_err());
    }
}
