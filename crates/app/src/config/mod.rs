//! Configuration: typed settings, each from the strongest of default, file, environment and flag.

mod document;
mod load;
mod settings;
mod values;

pub(crate) use document::{Document, put as put_into_document};
pub(crate) use load::{Effective, Origin, Problem, Sources, load};
pub(crate) use settings::{KEYS, Settings};
pub(crate) use values::{BaseUrl, Cgroups, LogFormat, LogLevel, TlsMode};

use load::LEAST_QUOTA;
use values::Size;

/// What a setting does.
pub(crate) fn help(name: &str) -> &'static str {
    key(name).map_or("", |key| key.help)
}

/// The environment variable of a setting.
pub(crate) fn variable(name: &str) -> String {
    key(name).map(settings::Key::variable).unwrap_or_default()
}

fn key(name: &str) -> Option<&'static settings::Key> {
    settings::KEYS.iter().find(|key| key.name == name)
}

/// The least memory quota, for messages.
fn least_quota() -> Size {
    Size(LEAST_QUOTA)
}
