//! From file, environment and flags to settings, with the origin of each value.

use std::fmt;
use std::path::{Path, PathBuf};

use super::document::Document;
use super::settings::{KEYS, Key, Settings};
use super::values::Value as _;

/// A container that may use less than this cannot load any model.
pub(super) const LEAST_QUOTA: u64 = containers::host::MIN_QUOTA_MB << 20;

/// Where a value comes from; later ones are stronger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Built in.
    Default,
    /// The cluster configuration document.
    Document,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Document => f.write_str("cluster configuration"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// What values are read from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// The cluster configuration document's settings, once it was read.
    pub(crate) document: Document,
    /// The file, where one is named.
    pub(crate) file: Option<PathBuf>,
    /// The variables whose names begin with `UMPIRE_`.
    pub(crate) environment: Vec<(String, String)>,
    /// Setting, flag and text of the flags that were given.
    pub(crate) flags: Vec<(&'static str, String, String)>,
    /// `--set KEY=VALUE`.
    pub(crate) set: Vec<String>,
}

impl Sources {
    /// The variables of this process; the file is `file` or what `UMPIRE_CONFIG` names.
    pub(crate) fn of_process(file: Option<PathBuf>) -> Sources {
        let mut environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok()?;
                (name.starts_with("UMPIRE_")).then(|| (name, value.to_string_lossy().into_owned()))
            })
            .collect();
        environment.sort();
        let named = environment
            .iter()
            .find(|(name, value)| name == "UMPIRE_CONFIG" && !value.is_empty())
            .map(|(_, value)| PathBuf::from(value));
        Sources {
            file: file.or(named),
            environment,
            ..Sources::default()
        }
    }
}

/// The settings in force.
#[derive(Debug, Clone)]
pub(crate) struct Effective {
    /// Typed.
    pub(crate) settings: Settings,
    /// In the table's order: name, text form, origin.
    pub(crate) origins: Vec<(&'static str, String, Origin)>,
}

impl Effective {
    /// Whether nobody has set this one.
    pub(crate) fn is_default(&self, name: &str) -> bool {
        let found = self.origins.iter().find(|(n, ..)| *n == name);
        found.is_none_or(|(.., origin)| *origin == Origin::Default)
    }
}

/// Why there are no settings.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The file cannot be read or is not TOML.
    File(PathBuf, String),
    /// A name that no setting has, with the nearest that one has.
    Unknown {
        /// The name.
        name: String,
        /// Where it stands.
        origin: Origin,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// A value that its setting does not take.
    Value {
        /// The setting.
        name: String,
        /// Where it stands.
        origin: Origin,
        /// What is wrong.
        problem: String,
    },
    /// One of two settings that go together is set, and the other is not.
    Together(&'static str, &'static str),
    /// The memory quota: it has a code of its own in the catalogue.
    Memory {
        /// What was written.
        value: String,
        /// Where.
        origin: Origin,
    },
}

impl Problem {
    /// The setting that it is about and what is wrong with it, where the cluster configuration
    /// document is to blame.
    pub(crate) fn of_document(&self) -> Option<(&str, String)> {
        match self {
            Problem::Unknown { name, origin, .. } | Problem::Value { name, origin, .. }
                if *origin == Origin::Document =>
            {
                Some((name, self.to_string()))
            }
            Problem::Memory { origin, .. } if *origin == Origin::Document => {
                Some(("containers.memory_quota", self.to_string()))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::File(path, problem) => write!(f, "{}: {problem}", path.display()),
            Problem::Unknown {
                name,
                origin,
                nearest,
            } => {
                write!(f, "unknown setting \"{name}\" ({origin})")?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean \"{nearest}\"?"),
                    None => Ok(()),
                }
            }
            Problem::Value {
                name,
                origin,
                problem,
            } => write!(f, "{name}: {problem} ({origin})"),
            Problem::Together(one, other) => {
                write!(
                    f,
                    "{one} and {other} go together: one is set and the other is not"
                )
            }
            Problem::Memory { value, origin } => write!(
                f,
                "containers.memory_quota: \"{value}\" is not a size of at least {} ({origin})",
                super::least_quota()
            ),
        }
    }
}

/// Reads all sources, from the weakest to the strongest.
pub(crate) fn load(sources: &Sources) -> Result<Effective, Problem> {
    let mut settings = Settings::default();
    let mut origins: Vec<Origin> = vec![Origin::Default; KEYS.len()];
    let mut quota_text = None;
    let mut apply = |name: &str, text: &str, origin: Origin| -> Result<(), Problem> {
        let Some(position) = KEYS.iter().position(|key| key.name == name) else {
            return Err(unknown(name, origin));
        };
        if name == "containers.memory_quota" {
            quota_text = Some((text.to_owned(), origin.clone()));
            if super::Size::read(text).is_err() {
                return Err(Problem::Memory {
                    value: text.to_owned(),
                    origin,
                });
            }
        }
        settings.set(name, text).map_err(|problem| Problem::Value {
            name: name.to_owned(),
            origin: origin.clone(),
            problem,
        })?;
        if origin == Origin::Document && !KEYS[position].is_shared() {
            return Err(Problem::Value {
                name: name.to_owned(),
                origin,
                problem: "this setting is each server's own".to_owned(),
            });
        }
        origins[position] = origin;
        Ok(())
    };

    for (name, text) in sources.document.entries() {
        apply(name, text, Origin::Document)?;
    }
    if let Some(path) = &sources.file {
        for (name, text) in read_file(path)? {
            apply(&name, &text, Origin::File(path.clone()))?;
        }
    }
    for (variable, text) in &sources.environment {
        let origin = Origin::Environment(variable.clone());
        match KEYS.iter().find(|key| key.variable() == *variable) {
            Some(key) => apply(key.name, text, origin)?,
            None if is_no_setting(variable) => {}
            None => {
                let nearest = nearest(variable, KEYS.iter().map(Key::variable));
                return Err(Problem::Unknown {
                    name: variable.clone(),
                    origin,
                    nearest,
                });
            }
        }
    }
    for pair in &sources.set {
        let origin = Origin::Flag("--set".to_owned());
        let Some((name, text)) = pair.split_once('=') else {
            return Err(Problem::Value {
                name: pair.clone(),
                origin,
                problem: "--set takes KEY=VALUE".to_owned(),
            });
        };
        apply(name.trim(), text.trim(), origin)?;
    }
    for (name, flag, text) in &sources.flags {
        apply(name, text, Origin::Flag(flag.clone()))?;
    }
    if settings.oidc_issuer.is_some() {
        if settings.oidc_audience.is_empty() {
            return Err(Problem::Together("oidc.issuer", "oidc.audience"));
        }
        if settings.oidc_grants.is_empty() {
            return Err(Problem::Together("oidc.issuer", "oidc.grants"));
        }
    }
    if settings.container_memory_quota.0 < LEAST_QUOTA {
        let (value, origin) = quota_text.unwrap_or_else(|| (String::new(), Origin::Default));
        return Err(Problem::Memory { value, origin });
    }
    let batch_quota = settings.container_batch_memory_quota.0;
    if batch_quota != 0 && batch_quota < LEAST_QUOTA {
        let name = "containers.batch_memory_quota";
        let position = KEYS.iter().position(|key| key.name == name);
        return Err(Problem::Value {
            name: name.to_owned(),
            origin: position.map_or(Origin::Default, |at| origins[at].clone()),
            problem: format!("neither 0 nor at least {}", super::least_quota()),
        });
    }
    let shown = KEYS.iter().zip(origins).map(|(key, origin)| {
        let value = settings.show(key.name).unwrap_or_default();
        let absent = value == "\"\"";
        let value = match key.is_secret() && !absent {
            true => "\"***\"".to_owned(),
            false => value,
        };
        (key.name, value, origin)
    });
    Ok(Effective {
        origins: shown.collect(),
        settings,
    })
}

/// Variables with our prefix that set nothing: where the file is, and what Kubernetes adds for a
/// service of our name.
fn is_no_setting(variable: &str) -> bool {
    variable == "UMPIRE_CONFIG"
        || variable == "UMPIRE_PORT"
        || variable.starts_with("UMPIRE_PORT_")
        || variable.starts_with("UMPIRE_SERVICE_")
}

fn unknown(name: &str, origin: Origin) -> Problem {
    Problem::Unknown {
        name: name.to_owned(),
        origin,
        nearest: nearest(name, KEYS.iter().map(|key| key.name.to_owned())),
    }
}

/// The candidate that a slip of the keyboard may have meant.
fn nearest(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    candidates
        .map(|candidate| {
            let last = candidate.rsplit('.').next().unwrap_or(&candidate);
            let near = strsim::jaro_winkler(name, &candidate).max(strsim::jaro_winkler(name, last));
            (near, candidate)
        })
        .filter(|(near, _)| *near > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The file's settings as dotted names and text forms.
fn read_file(path: &Path) -> Result<Vec<(String, String)>, Problem> {
    let problem = |text: String| Problem::File(path.to_owned(), text);
    let text = std::fs::read_to_string(path).map_err(|e| problem(e.to_string()))?;
    let table: toml::Table = text
        .parse()
        .map_err(|e: toml::de::Error| problem(e.to_string()))?;
    let mut flat = Vec::new();
    flatten("", &table, &mut flat).map_err(|(name, problem)| Problem::Value {
        name,
        origin: Origin::File(path.to_owned()),
        problem,
    })?;
    Ok(flat)
}

fn flatten(
    prefix: &str,
    table: &toml::Table,
    out: &mut Vec<(String, String)>,
) -> Result<(), (String, String)> {
    for (key, value) in table {
        let name = match prefix {
            "" => key.clone(),
            prefix => format!("{prefix}.{key}"),
        };
        match value {
            toml::Value::Table(inner) => flatten(&name, inner, out)?,
            value => {
                let text = text_of(value).map_err(|problem| (name.clone(), problem))?;
                out.push((name, text));
            }
        }
    }
    Ok(())
}

/// The text form of a TOML value.
pub(crate) fn text_of(value: &toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(_) | toml::Value::Boolean(_) | toml::Value::Float(_) => {
            Ok(value.to_string())
        }
        toml::Value::Array(items) => {
            let items: Result<Vec<String>, String> = items.iter().map(text_of).collect();
            let items = items?;
            match items.iter().find(|item| item.contains(',')) {
                Some(item) => Err(format!("\"{item}\" has a comma")),
                None => Ok(items.join(",")),
            }
        }
        _ => Err("a value of this kind is not taken".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, Sources) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("umpire.toml");
        std::fs::write(&path, text).unwrap();
        let sources = Sources {
            file: Some(path),
            ..Sources::default()
        };
        (dir, sources)
    }

    fn origin(effective: &Effective, name: &str) -> String {
        let found = effective.origins.iter().find(|(n, ..)| *n == name);
        let (_, value, origin) = found.unwrap();
        let kind = origin.to_string();
        let kind = kind.split(' ').next().unwrap();
        format!("{value} {kind}")
    }

    #[test]
    fn the_strongest_source_wins_and_is_named() {
        let (_dir, mut sources) = file(
            "listen = \"0.0.0.0:1\"\ndrain = \"1s\"\n[limits]\nbody = \"1MiB\"\ncalls_under_way = 7\n[log]\naccess = false\n",
        );
        sources.environment = vec![
            ("UMPIRE_LIMITS_BODY".into(), "2MiB".into()),
            ("UMPIRE_DRAIN".into(), "2s".into()),
            ("UMPIRE_TOKEN".into(), "hush".into()),
        ];
        sources.flags = vec![("drain", "--drain".into(), "3s".into())];
        let effective = load(&sources).unwrap();
        assert_eq!(origin(&effective, "listen"), "\"0.0.0.0:1\" file");
        assert_eq!(origin(&effective, "limits.body"), "\"2MiB\" environment");
        assert_eq!(origin(&effective, "limits.calls_under_way"), "7 file");
        assert_eq!(origin(&effective, "log.access"), "false file");
        assert_eq!(origin(&effective, "drain"), "\"3s\" flag");
        assert_eq!(origin(&effective, "limits.rows"), "100000 default");
        assert_eq!(effective.settings.limit_body.0, 2 << 20);
        assert_eq!(effective.settings.drain.0.as_secs(), 3);
        assert_eq!(origin(&effective, "token"), "\"***\" environment");
        assert_eq!(effective.settings.token.as_deref(), Some("hush"));
    }

    #[test]
    fn unknown_names_are_errors_that_suggest_the_nearest() {
        for (text, nearest) in [
            ("lisen = \"x\"", "\"listen\""),
            ("[limits]\nboddy = 1", "\"limits.body\""),
            ("[containers]\nslot = 1", "\"containers.slots\""),
        ] {
            let (_dir, sources) = file(text);
            let problem = load(&sources).unwrap_err().to_string();
            assert!(problem.contains(nearest), "{problem}");
        }
        let sources = Sources {
            environment: vec![("UMPIRE_LISEN".into(), "x".into())],
            ..Sources::default()
        };
        let problem = load(&sources).unwrap_err().to_string();
        assert!(problem.contains("\"UMPIRE_LISTEN\""), "{problem}");
        let sources = Sources {
            set: vec!["zzz=1".into()],
            ..Sources::default()
        };
        let problem = load(&sources).unwrap_err().to_string();
        assert!(!problem.contains("did you mean"), "{problem}");
    }

    #[test]
    fn what_kubernetes_adds_is_no_setting() {
        let sources = Sources {
            environment: vec![
                ("UMPIRE_PORT".into(), "tcp://10.0.0.1:80".into()),
                ("UMPIRE_SERVICE_HOST".into(), "10.0.0.1".into()),
                ("UMPIRE_CONFIG".into(), "x".into()),
            ],
            ..Sources::default()
        };
        assert!(load(&sources).is_ok());
    }

    #[test]
    fn a_bad_value_names_setting_and_origin() {
        let (_dir, sources) = file("[limits]\nbody_timeout = \"soon\"");
        let problem = load(&sources).unwrap_err().to_string();
        assert!(
            problem.starts_with("limits.body_timeout: \"soon\""),
            "{problem}"
        );
        assert!(problem.contains("umpire.toml"), "{problem}");
    }

    #[test]
    fn the_quota_of_batch_is_none_or_one_that_a_container_can_live_with() {
        let load = |value| {
            load(&Sources {
                set: vec![format!("containers.batch_memory_quota={value}")],
                ..Sources::default()
            })
        };
        let problem = load("16MiB").unwrap_err().to_string();
        let expected = "containers.batch_memory_quota: neither 0 nor at least 32MiB";
        assert!(problem.starts_with(expected), "{problem}");
        assert!(load("0").is_ok());
        assert!(load("32MiB").is_ok());
    }

    #[test]
    fn a_bad_memory_quota_has_its_own_problem() {
        for value in ["plenty", "", "1", "-5MiB", "16MiB"] {
            let sources = Sources {
                set: vec![format!("containers.memory_quota={value}")],
                ..Sources::default()
            };
            let problem = load(&sources).unwrap_err();
            assert!(
                matches!(&problem, Problem::Memory { value: v, .. } if v == value),
                "{problem:?}"
            );
        }
    }
}
