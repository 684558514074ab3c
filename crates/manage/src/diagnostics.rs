//! What may be asked of diagnostics, whichever API asks it, and where a service wants them.

use faults::{Fault, bad_argument};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use store::{DiagnosticsLevel, Entry};

use crate::Manager;
use crate::json::{member, object};

/// The longest name of a blob, in characters.
const LONGEST_BLOB_NAME: usize = 1024;

/// Diagnostics settings as a client gives them; names of members are those of its API, for the
/// targets of faults.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The level, by its member.
    pub(crate) level: (&'static str, Option<&'a str>),
    /// Whether all is named that diagnostics are written to.
    pub(crate) complete: bool,
    /// When logging ceases, by its member; `None` for never.
    pub(crate) expiry: (&'static str, Option<&'a str>),
    /// Names of blobs that would be written, or what they begin with, by their members.
    pub(crate) blob_names: &'a [(&'static str, &'a str)],
}

/// Checks diagnostics settings.
///
/// # Errors
/// `BadArgument.IncompleteSettings` without a level, or with one that logs and without a place to
/// write to; `BadArgument.BadParameterValue` for an unknown level; `BadArgument.BlobNameTooLong`;
/// `BadArgument.RequestBodyInvalid` for an expiry that is no time; `BadArgument.ExpiryTimeInThePast`.
pub(crate) fn check(asked: &Asked<'_>, now: Timestamp) -> Result<DiagnosticsLevel, Fault> {
    let (member, level) = asked.level;
    let level = level
        .map(str::trim)
        .filter(|level| !level.is_empty())
        .ok_or_else(|| {
            bad_argument::incomplete_settings()
                .at(member)
                .because("the level is missing")
        })?;
    let level = DiagnosticsLevel::parse(level).ok_or_else(|| {
        bad_argument::bad_parameter_value()
            .at(member)
            .because("the level is not one of: None, Error, All")
    })?;
    if level != DiagnosticsLevel::None && !asked.complete {
        return Err(bad_argument::incomplete_settings()
            .because("the place to which diagnostics are written is not told"));
    }
    for (member, name) in asked.blob_names {
        if name.chars().count() > LONGEST_BLOB_NAME {
            return Err(bad_argument::blob_name_too_long(*name).at(*member));
        }
    }
    let (member, text) = asked.expiry;
    if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
        expiry(text, now).map_err(|fault| fault.at(member))?;
    }
    Ok(level)
}

/// The time when logging ceases, which lies ahead.
///
/// # Errors
/// `BadArgument.RequestBodyInvalid` for text that is no time;
/// `BadArgument.ExpiryTimeInThePast`.
pub(crate) fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    let at = time(text).ok_or_else(|| {
        bad_argument::request_body_invalid().because("it is not a time of ISO 8601")
    })?;
    match at > now {
        true => Ok(at),
        false => Err(bad_argument::expiry_time_in_the_past(text)),
    }
}

/// A time of ISO 8601; one without an offset is of UTC.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse::<Timestamp>().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(local).ok()
    })
}

/// Where a service wants its diagnostics.
#[derive(Clone, Default)]
pub struct DiagnosticsPlace {
    /// The connection string of its storage account; a secret. `None` for one without an account,
    /// or of which the key is not known: the workspace's own storage.
    pub connection: Option<String>,
    /// What names of blobs of calls, starts and jobs begin with, where the service says it.
    pub prefixes: Option<[String; 3]>,
}

impl std::fmt::Debug for DiagnosticsPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiagnosticsPlace")
            .field("connection", &self.connection.as_ref().map(|_| "…"))
            .field("prefixes", &self.prefixes)
            .finish()
    }
}

/// The members of a publication that say what names of blobs begin with: of calls, of starts, of
/// jobs.
pub(crate) const PATHS: [&str; 3] = [
    "DiagnosticsRRSRequestsPath",
    "DiagnosticsRRSInitializationsPath",
    "DiagnosticsBESJobsPath",
];

impl Manager {
    /// Where an endpoint's service wants its diagnostics, by the revision that answers its calls.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger fails or the secrets do not open;
    /// `NotFound.WebServiceNotFound` where the revision is gone.
    pub async fn diagnostics_place(&self, entry: &Entry) -> Result<DiagnosticsPlace, Fault> {
        let ledger = &self.inner.store.ledger;
        let definition = ledger.revision(entry.revision).await?.definition;
        let secrets = ledger.secrets(entry.revision).await?;
        let published = ledger.published_settings(entry.revision).await?;
        let object_of = |text: &[u8]| serde_json::from_slice::<Map<String, Value>>(text).ok();
        let name = object_of(definition.as_bytes())
            .as_ref()
            .and_then(|properties| member(object(properties, "storageAccount")?, "name")?.as_str())
            .map(|name| name.trim().to_owned());
        let key = secrets.and_then(|bytes| {
            object_of(&bytes)?
                .get("storageAccount")?
                .as_str()
                .map(str::to_owned)
        });
        let prefixes = published.and_then(|text| {
            let settings = object_of(text.as_bytes())?;
            let [calls, starts, jobs] =
                PATHS.map(|path| Some(prefix(settings.get(path)?.as_str()?)));
            Some([calls?, starts?, jobs?])
        });
        Ok(DiagnosticsPlace {
            connection: name.zip(key).map(|(name, key)| connection(&name, &key)),
            prefixes,
        })
    }
}

/// A path as it was published, as the beginning of names in the blob container of diagnostics.
fn prefix(path: &str) -> String {
    let path = path.trim_matches('/');
    path.strip_prefix("ml-diagnostics/")
        .unwrap_or(path)
        .to_owned()
}

/// The connection string of a storage account. Its key may be a connection string itself, which
/// can say what a name and a key cannot: where the account's blobs are.
pub(crate) fn connection(name: &str, key: &str) -> String {
    match is_connection(key) {
        true => key.to_owned(),
        false => format!(
            "DefaultEndpointsProtocol=https;AccountName={name};AccountKey={key};\
             EndpointSuffix=core.windows.net"
        ),
    }
}

/// Whether an account's key is a connection string.
pub(crate) fn is_connection(key: &str) -> bool {
    outbound::Connection::parse(key).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::BadArgument as Row;
    use store::DiagnosticsLevel as Level;

    fn asked<'a>(level: Option<&'a str>, expiry: Option<&'a str>) -> Asked<'a> {
        Asked {
            level: ("level", level),
            complete: true,
            expiry: ("expiry", expiry),
            blob_names: &[],
        }
    }

    #[test]
    fn levels_need_a_place_and_a_known_name() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(check(&asked(Some("all"), None), now), Ok(Level::All));
        assert_eq!(check(&asked(Some("NONE"), Some("")), now), Ok(Level::None));
        for (level, row) in [
            (None, &Row::IncompleteSettings),
            (Some(" "), &Row::IncompleteSettings),
            (Some("Some"), &Row::BadParameterValue),
        ] {
            assert!(check(&asked(level, None), now).unwrap_err().is(row));
        }
        let nowhere = |level| Asked {
            complete: false,
            ..asked(Some(level), None)
        };
        assert_eq!(check(&nowhere("None"), now), Ok(Level::None));
        let fault = check(&nowhere("Error"), now).unwrap_err();
        assert!(fault.is(&Row::IncompleteSettings));
    }

    #[test]
    fn an_expiry_lies_ahead_in_any_form_of_a_time() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for ahead in [
            "2026-01-01T00:00:01Z",
            "2026-01-01T00:00:00.001",
            "2026-01-01T01:00:00+00:30",
            "2027-01-01",
        ] {
            assert_eq!(
                check(&asked(Some("Error"), Some(ahead)), now),
                Ok(Level::Error)
            );
        }
        for past in [
            "2026-01-01T00:00:00Z",
            "2026-01-01T01:00:00+01:00",
            "1999-12-31",
        ] {
            let fault = check(&asked(Some("Error"), Some(past)), now).unwrap_err();
            assert!(fault.is(&Row::ExpiryTimeInThePast));
            assert_eq!(fault.details()[0].args, [past]);
        }
        for wrong in ["tomorrow", "01/02/2027", "2026-13-01"] {
            let fault = check(&asked(Some("Error"), Some(wrong)), now).unwrap_err();
            assert!(fault.is(&Row::RequestBodyInvalid), "{wrong}");
        }
    }

    #[test]
    fn a_blobs_name_has_at_most_1024_characters() {
        let long = "ä".repeat(1025);
        let with = |name: &str| {
            let names = [("path", name)];
            let asked = Asked {
                blob_names: &names,
                ..asked(Some("All"), None)
            };
            check(&asked, Timestamp::UNIX_EPOCH)
        };
        assert_eq!(with(&"ä".repeat(1024)), Ok(Level::All));
        let fault = with(&long).unwrap_err();
        assert!(fault.is(&Row::BlobNameTooLong));
        assert_eq!(fault.details()[0].target.as_deref(), Some("path"));
    }

    #[test]
    fn a_key_may_say_where_the_account_is() {
        let plain = connection("acct", "a2V5");
        let read = outbound::Connection::parse(&plain).unwrap();
        assert_eq!(read.endpoint, "https://acct.blob.core.windows.net");
        for whole in [
            "UseDevelopmentStorage=true",
            "BlobEndpoint=http://127.0.0.1:1/devstoreaccount1;AccountName=a;AccountKey=a2V5",
            "BlobEndpoint=https://acct.example;SharedAccessSignature=sv=1&sig=x",
        ] {
            assert_eq!(connection("acct", whole), whole);
        }
        assert!(!is_connection("a2V5") && !is_connection("a2V5=="));
    }

    #[test]
    fn published_paths_are_beginnings_of_names() {
        for (path, expected) in [
            ("logs/requests", "logs/requests"),
            ("/ml-diagnostics/a/score/init/", "a/score/init"),
            ("ml-diagnostics", "ml-diagnostics"),
        ] {
            assert_eq!(prefix(path), expected);
        }
    }

    #[test]
    fn a_place_shows_no_secret() {
        let place = DiagnosticsPlace {
            connection: Some(connection("acct", "aHVzaA==")),
            prefixes: None,
        };
        assert!(!format!("{place:?}").contains("aHVzaA"));
    }
}
