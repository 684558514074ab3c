//! The Resource Manager's rules for names.

use faults::{Class, Fault};
use store::ResourceName;

/// The longest name of a resource, in characters.
const LONGEST_NAME: usize = 260;
/// The longest name of a resource group and of a subscription, in characters.
const LONGEST_GROUP: usize = 90;
/// Characters that no name has.
const FORBIDDEN: &[char] = &['<', '>', '*', '%', '&', ':', '?', '+', '/', '\\'];

/// Refuses a name under which nothing may be made.
///
/// # Errors
/// `BadArgument` without a row of its own; the cause says which part and why.
pub(crate) fn check(name: &ResourceName) -> Result<(), Fault> {
    let parts = [
        ("subscription", &name.subscription, LONGEST_GROUP),
        ("resource group", &name.resource_group, LONGEST_GROUP),
        ("resource name", &name.name, LONGEST_NAME),
    ];
    for (what, text, longest) in parts {
        let problem = if text.trim().is_empty() {
            Some("is empty".to_owned())
        } else if text.chars().count() > longest {
            Some(format!("has more than {longest} characters"))
        } else if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
            Some("begins or ends with a blank".to_owned())
        } else {
            text.chars()
                .find(|c| c.is_control() || FORBIDDEN.contains(c))
                .map(|c| format!("has the character {c:?}"))
        };
        if let Some(problem) = problem {
            return Err(Fault::bare(Class::BadArgument).because(format!("the {what} {problem}")));
        }
    }
    Ok(())
}

/// Whether two locations are the same: `South Central US` and `southcentralus` are.
pub(crate) fn same_location(a: &str, b: &str) -> bool {
    letters(a) == letters(b)
}

/// A location as it is compared: its letters, without blanks and case.
pub(crate) fn letters(location: &str) -> String {
    location
        .chars()
        .filter(|c| !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ResourceName {
        ResourceName {
            subscription: "s".into(),
            resource_group: "g".into(),
            name: text.into(),
        }
    }

    #[test]
    fn names_that_studio_made_pass_and_others_do_not() {
        for good in [
            "a",
            "CensusModel.2017.2.15.0.27.36.763",
            "with blank",
            "ä (1)_-",
            &"x".repeat(260),
        ] {
            check(&name(good)).unwrap();
        }
        for bad in [
            "",
            " ",
            " a",
            "a ",
            "a/b",
            "a%2f",
            "a?b",
            "a\u{0}",
            &"x".repeat(261),
        ] {
            let fault = check(&name(bad)).unwrap_err();
            assert_eq!(fault.class(), Class::BadArgument);
            assert!(fault.details().is_empty());
        }
    }

    #[test]
    fn locations_are_compared_by_their_letters() {
        assert!(same_location("South Central US", "southcentralus"));
        assert!(!same_location("West US", "West US 2"));
    }
}
