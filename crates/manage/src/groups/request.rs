//! What clients send about groups, read laxly: members in any case, booleans as words.

use faults::{Fault, bad_argument};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use store::{DiagnosticsLevel, GroupChange, Id, PackageStatus, Slot, ThrottleLevel};

use crate::diagnostics::{self, PATHS};
use crate::json::read_object;
use crate::members::Members;

/// The longest name of a group, in characters.
const LONGEST_NAME: usize = 260;

/// What is to be changed of a group, or what a new one has.
///
/// # Errors
/// `BadArgument.RequestBodyInvalid`, its target the member at fault; `BadArgument.RequestIsEmpty`.
pub(super) fn group(bytes: &[u8]) -> Result<GroupChange, Fault> {
    let body = filled(bytes)?;
    let members = Members(&body);
    let name = members.text("Name")?;
    if let Some(name) = name
        && (name.trim().is_empty()
            || name.chars().count() > LONGEST_NAME
            || name.contains(char::is_control))
    {
        return Err(bad_argument::request_body_invalid()
            .at("Name")
            .because("it is blank, too long, or has a control character"));
    }
    Ok(GroupChange {
        name: name.map(str::to_owned),
        description: members.text("Description")?.map(str::to_owned),
        anonymous_test: members.boolean("AllowAnonymousTest")?,
    })
}

/// The `StatusCode` that a package is to have.
///
/// # Errors
/// `BadArgument.RequestBodyInvalid` without one; `BadArgument.BadParameterValue` for a word that is
/// no status.
pub(super) fn status(bytes: &[u8]) -> Result<AskedStatus, Fault> {
    status_of(&filled(bytes)?)?.ok_or_else(|| bad_argument::request_body_invalid().at("StatusCode"))
}

/// A status as it may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskedStatus {
    /// One that is kept.
    Kept(PackageStatus),
    /// `DeployedToProduction`, which is so when the production service answers by the package, and
    /// cannot be made so by saying it.
    Deployed,
}

/// The member `StatusCode` of a package or of a change.
///
/// # Errors
/// `BadArgument.BadParameterValue` for a word that is no status.
pub(super) fn status_of(body: &Map<String, Value>) -> Result<Option<AskedStatus>, Fault> {
    let Some(word) = Members(body).filled("StatusCode")? else {
        return Ok(None);
    };
    if word.eq_ignore_ascii_case(super::DEPLOYED) {
        return Ok(Some(AskedStatus::Deployed));
    }
    let status = PackageStatus::from_name(word).ok_or_else(|| {
        bad_argument::bad_parameter_value()
            .at("StatusCode")
            .because("it is none of the statuses")
    })?;
    Ok(Some(AskedStatus::Kept(status)))
}

/// What a publication is asked to be.
#[derive(Debug)]
pub(super) struct Publish {
    pub(super) package: AskedPackage,
    /// `None` where nothing is said of it, as when a service is changed.
    pub(super) slot: Option<Slot>,
    pub(super) max_concurrent_calls: Option<i64>,
    pub(super) throttle_level: Option<ThrottleLevel>,
    pub(super) diagnostics: DiagnosticsSettings,
}

/// The model package of a publication.
#[derive(Debug)]
pub(super) enum AskedPackage {
    /// One that is stored.
    Stored(Id),
    /// One that comes with the call.
    Given(Value),
}

/// Reads a publication. The order of the checks: the package, the type, diagnostics.
///
/// # Errors
/// `BadArgument.RequestBodyInvalid`, `.RequestIsEmpty`, `.MissingModelPackage`,
/// `.ModelPackageIdInvalid`, `.WebServiceTypeInvalid`; those of [`DiagnosticsSettings::read`].
pub(super) fn publish(bytes: &[u8], now: Timestamp) -> Result<Publish, Fault> {
    let body = filled(bytes)?;
    let members = Members(&body);
    let id = members.filled("ModelPackageId")?;
    let given = members.get("ModelPackage");
    let package = match (id, given) {
        (Some(id), _) => AskedPackage::Stored(package_id(id.trim())?),
        (None, Some(given)) => AskedPackage::Given(given.clone()),
        (None, None) => return Err(bad_argument::missing_model_package()),
    };
    let slot = members
        .filled("WebServiceType")?
        .map(|word| Slot::from_name(word).ok_or_else(type_invalid))
        .transpose()?;
    Ok(Publish {
        package,
        slot,
        max_concurrent_calls: members.whole_number("MaxConcurrentCalls")?,
        throttle_level: members.one_of("ThrottleLevel", ThrottleLevel::parse)?,
        diagnostics: DiagnosticsSettings::read(members.get("DiagnosticsSettings"), now)?,
    })
}

/// The row of an unknown or absent `WebServiceType`.
pub(super) fn type_invalid() -> Fault {
    bad_argument::web_service_type_invalid("Staging, Production").at("WebServiceType")
}

/// The id of a model package.
///
/// # Errors
/// `BadArgument.ModelPackageIdInvalid`.
pub(super) fn package_id(text: &str) -> Result<Id, Fault> {
    Id::parse(text).ok_or_else(bad_argument::model_package_id_invalid)
}

/// The `DiagnosticsSettings` of a publication, checked.
#[derive(Debug, Default)]
pub(super) struct DiagnosticsSettings {
    pub(super) level: DiagnosticsLevel,
    pub(super) expiry: Option<String>,
    /// The account that the connection string names, and its key.
    pub(super) account: Option<(String, String)>,
    /// The paths, by their members.
    paths: Vec<(&'static str, String)>,
}

const LEVEL: &str = "DiagnosticsTraceLevel";
const CONNECTION: &str = "DiagnosticsConnectionString";
const EXPIRY: &str = "DiagnosticsExpiryTime";
impl DiagnosticsSettings {
    /// Reads the settings; none at all is the level `None`.
    ///
    /// # Errors
    /// `BadArgument.RequestBodyInvalid` for another shape; those of [`diagnostics::check`];
    /// `BadArgument.InvalidBlobConnectionString`, which says what is wrong and no more.
    fn read(value: Option<&Value>, now: Timestamp) -> Result<DiagnosticsSettings, Fault> {
        let body = match value {
            None | Some(Value::Null) => return Ok(DiagnosticsSettings::default()),
            Some(Value::Object(body)) => body,
            Some(_) => {
                return Err(bad_argument::request_body_invalid().at("DiagnosticsSettings"));
            }
        };
        let members = Members(body);
        let connection = members.filled(CONNECTION)?;
        let mut paths = Vec::new();
        for name in PATHS {
            if let Some(path) = members.filled(name)? {
                paths.push((name, path));
            }
        }
        let expiry = members.filled(EXPIRY)?;
        let asked = diagnostics::Asked {
            level: (LEVEL, members.text(LEVEL)?),
            complete: connection.is_some() && paths.len() == PATHS.len(),
            expiry: (EXPIRY, expiry),
            blob_names: &paths,
        };
        let level = diagnostics::check(&asked, now)?;
        let own = |(name, path): (&'static str, &str)| (name, path.to_owned());
        Ok(DiagnosticsSettings {
            level,
            expiry: expiry.map(str::to_owned),
            account: connection.map(account).transpose()?,
            paths: paths.into_iter().map(own).collect(),
        })
    }

    /// The settings as they are kept and shown: the connection string, which is a secret, is not
    /// among them.
    pub(super) fn shown(&self) -> Value {
        let mut shown = json!({LEVEL: self.level.name(), CONNECTION: null});
        if let Some(object) = shown.as_object_mut() {
            for name in PATHS {
                let path = self.paths.iter().find(|(member, _)| *member == name);
                object.insert(
                    name.into(),
                    path.map(|(_, path)| json!(path)).unwrap_or_default(),
                );
            }
            object.insert(EXPIRY.into(), json!(self.expiry));
        }
        shown
    }
}

/// The account and the key of a storage connection string.
///
/// # Errors
/// `BadArgument.InvalidBlobConnectionString`.
fn account(connection: &str) -> Result<(String, String), Fault> {
    let invalid = |problem: &str| {
        bad_argument::invalid_blob_connection_string(format!("{CONNECTION}: {problem}"))
            .at(CONNECTION)
    };
    let read = outbound::Connection::parse(connection).map_err(invalid)?;
    let part = |name: &str| {
        connection.split(';').find_map(|part| {
            let (word, value) = part.split_once('=')?;
            let value = value.trim();
            (word.trim().eq_ignore_ascii_case(name) && !value.is_empty()).then(|| value.to_owned())
        })
    };
    let name = part("AccountName").ok_or_else(|| invalid("it has no AccountName"))?;
    let key = part("AccountKey").ok_or_else(|| invalid("it has no AccountKey"))?;
    // An account that is not where its name says is kept by its whole connection string.
    let usual = outbound::Connection::parse(&diagnostics::connection(&name, &key));
    match usual.is_ok_and(|usual| usual == read) {
        true => Ok((name, key)),
        false => Ok((name, connection.to_owned())),
    }
}

/// A body that says something.
pub(super) fn filled(bytes: &[u8]) -> Result<Map<String, Value>, Fault> {
    let body = read_object(bytes)?;
    match body.is_empty() {
        true => Err(bad_argument::request_is_empty()),
        false => Ok(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::BadArgument as Row;

    fn read(settings: Value) -> Result<DiagnosticsSettings, Fault> {
        DiagnosticsSettings::read(Some(&settings), Timestamp::UNIX_EPOCH)
    }

    fn whole() -> Value {
        json!({
            "DiagnosticsTraceLevel": "all",
            "diagnosticsConnectionString":
                "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=a2V5;",
            "DiagnosticsRRSRequestsPath": "logs/requests",
            "DiagnosticsRRSInitializationsPath": "logs/init",
            "DiagnosticsBESJobsPath": "logs/jobs",
            "DiagnosticsExpiryTime": null,
        })
    }

    #[test]
    fn settings_are_whole_or_refused_and_their_key_is_never_shown() {
        let settings = read(whole()).unwrap();
        assert_eq!(settings.level, DiagnosticsLevel::All);
        assert_eq!(settings.account, Some(("acct".into(), "a2V5".into())));
        let shown = settings.shown();
        assert!(!shown.to_string().contains("a2V5"), "{shown}");
        assert_eq!(shown["DiagnosticsBESJobsPath"], "logs/jobs");
        for name in [
            "DiagnosticsBESJobsPath",
            "diagnosticsConnectionString",
            LEVEL,
        ] {
            let mut settings = whole();
            settings.as_object_mut().unwrap().remove(name);
            assert!(
                read(settings).unwrap_err().is(&Row::IncompleteSettings),
                "{name}"
            );
        }
        assert_eq!(read(json!({LEVEL: "None"})).unwrap().account, None);
    }

    #[test]
    fn a_connection_string_names_account_and_key() {
        for (text, problem) in [
            ("nonsense", "not Name=value"),
            ("AccountName=a", "no AccountKey"),
            ("AccountKey=secret", "AccountName"),
            ("AccountName=a;AccountKey=?!secret", "not base64"),
            ("UseDevelopmentStorage=true", "no AccountName"),
            (
                "BlobEndpoint=https://a;SharedAccessSignature=sig=secret",
                "no AccountName",
            ),
        ] {
            let mut settings = whole();
            settings["diagnosticsConnectionString"] = json!(text);
            let fault = read(settings).unwrap_err();
            assert!(fault.is(&Row::InvalidBlobConnectionString));
            let said = &fault.details()[0].args[0];
            assert!(said.contains(problem) && !said.contains("secret"), "{said}");
        }
    }
}
