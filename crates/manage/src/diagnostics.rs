//! The rules for `properties.diagnostics`.

use faults::{Fault, bad_argument};
use graph::Package;
use jiff::Timestamp;

/// Refuses diagnostics that could not be written.
///
/// # Errors
/// `BadArgument.IncompleteSettings` for settings without a level, and for a level other than
/// `None` without a storage account and key; `BadArgument.BadParameterValue` for a level or time
/// that is none; `BadArgument.ExpiryTimeInThePast`.
pub(crate) fn check(package: &Package, now: Timestamp) -> Result<(), Fault> {
    let Some(diagnostics) = &package.diagnostics else {
        return Ok(());
    };
    let incomplete = |what: &str| {
        Err(bad_argument::incomplete_settings()
            .at(what)
            .because(format!("{what} is missing")))
    };
    let level = match diagnostics.level.as_deref() {
        None | Some("") => return incomplete("diagnostics/level"),
        Some(level) => level,
    };
    let known = ["None", "Error", "All"];
    if !known.iter().any(|name| level.eq_ignore_ascii_case(name)) {
        return Err(bad_argument::bad_parameter_value().at("diagnostics/level"));
    }
    if let Some(text) = diagnostics
        .expiry
        .as_deref()
        .filter(|text| !text.is_empty())
    {
        let expiry = read_time(text)
            .ok_or_else(|| bad_argument::bad_parameter_value().at("diagnostics/expiry"))?;
        if expiry <= now {
            return Err(bad_argument::expiry_time_in_the_past(text).at("diagnostics/expiry"));
        }
    }
    if level.eq_ignore_ascii_case("None") {
        return Ok(());
    }
    let account = package.storage_account.as_ref();
    let given = |value: Option<&String>| value.is_some_and(|text| !text.trim().is_empty());
    if !given(account.and_then(|account| account.name.as_ref())) {
        return incomplete("storageAccount/name");
    }
    if !given(account.and_then(|account| account.key.as_ref())) {
        return incomplete("storageAccount/key");
    }
    Ok(())
}

/// A time with its offset, or without one: then it is UTC.
fn read_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse()
        .or_else(|_| format!("{text}Z").parse())
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::BadArgument as Row;
    use serde_json::{Value, json};

    fn checked(diagnostics: Value, account: Value) -> Result<(), Fault> {
        let package = Package::from_json(&json!({
            "package": {"nodes": {}, "edges": []},
            "diagnostics": diagnostics,
            "storageAccount": account,
        }));
        check(&package.unwrap(), "2030-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn what_can_be_written_passes_and_the_rest_is_told() {
        let account = || json!({"name": "acct", "key": "a2V5"});
        for good in [
            json!(null),
            json!({"level": "none"}),
            json!({"level": "None", "expiry": "2030-01-02T00:00:00Z"}),
            json!({"level": "All", "expiry": null}),
            json!({"level": "Error", "expiry": "2030-01-01T01:00:00.5-03:00"}),
            json!({"level": "Error", "expiry": "2030-01-01T00:00:01"}),
        ] {
            checked(good.clone(), account()).unwrap_or_else(|f| panic!("{good}: {}", f.name()));
        }
        for (wrong, account, row) in [
            (json!({}), account(), &Row::IncompleteSettings),
            (json!({"expiry": null}), account(), &Row::IncompleteSettings),
            (
                json!({"level": "All"}),
                json!(null),
                &Row::IncompleteSettings,
            ),
            (
                json!({"level": "All"}),
                json!({"name": "a"}),
                &Row::IncompleteSettings,
            ),
            (
                json!({"level": "Error"}),
                json!({"key": "a"}),
                &Row::IncompleteSettings,
            ),
            (json!({"level": "Some"}), account(), &Row::BadParameterValue),
            (
                json!({"level": "All", "expiry": "soon"}),
                account(),
                &Row::BadParameterValue,
            ),
            (
                json!({"level": "All", "expiry": "2029-12-31T23:59:59Z"}),
                account(),
                &Row::ExpiryTimeInThePast,
            ),
            (
                json!({"level": "None", "expiry": "2030-01-01"}),
                account(),
                &Row::ExpiryTimeInThePast,
            ),
        ] {
            let fault = checked(wrong.clone(), account).unwrap_err();
            assert!(fault.is(row), "{wrong}: {}", fault.name());
        }
    }
}
