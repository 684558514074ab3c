//! Names that clients choose, compared without case and kept as given.

use std::fmt;

use crate::Id;

/// A subscription as it is compared: an id in any of its forms, or any other text without case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subscription {
    /// A GUID; hyphens and case do not matter.
    Id(Id),
    /// Any other text, in lower case.
    Name(Box<str>),
}

impl Subscription {
    /// Reads a subscription as a client gives it. Allocates only for one that is no GUID.
    pub fn of(text: &str) -> Subscription {
        match Id::parse(text) {
            Some(id) => Subscription::Id(id),
            None => Subscription::Name(folded(text)),
        }
    }
}

impl fmt::Display for Subscription {
    /// The form in which a scoring URL holds it: a GUID without its hyphens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subscription::Id(id) => fmt::Display::fmt(id, f),
            Subscription::Name(name) => f.write_str(name),
        }
    }
}

/// Where a web service or workspace stands among the Resource Manager's names, as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceName {
    /// The subscription, usually a GUID with hyphens.
    pub subscription: String,
    /// The resource group.
    pub resource_group: String,
    /// The name, unique in its group and kind.
    pub name: String,
}

impl ResourceName {
    /// What the name is compared by.
    pub fn key(&self) -> NameKey {
        NameKey {
            subscription: Subscription::of(&self.subscription),
            resource_group: folded(&self.resource_group),
            name: folded(&self.name),
        }
    }
}

/// A [`ResourceName`] as it is compared and ordered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameKey {
    /// The subscription.
    pub subscription: Subscription,
    /// The resource group in lower case.
    pub resource_group: Box<str>,
    /// The name in lower case.
    pub name: Box<str>,
}

/// Text as it is compared where case does not count.
pub fn folded(text: &str) -> Box<str> {
    if text
        .bytes()
        .all(|b| b.is_ascii() && !b.is_ascii_uppercase())
    {
        text.into()
    } else {
        text.to_lowercase().into_boxed_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_compared_without_hyphens_and_case() {
        let a = Subscription::of("ABCDEF00-0000-4000-8000-000000000001");
        assert_eq!(
            a,
            Subscription::of(
                "abcdef000000400080000000000000 01"
                    .replace(' ', "")
                    .as_str()
            )
        );
        assert_eq!(a.to_string(), "abcdef00000040008000000000000001");
        assert_eq!(Subscription::of("My-Sub"), Subscription::of("my-sub"));
        assert_ne!(Subscription::of("my-sub"), Subscription::of("mysub"));
    }

    #[test]
    fn names_are_compared_without_case_in_any_script() {
        let name = |s: &str, g: &str, n: &str| ResourceName {
            subscription: s.into(),
            resource_group: g.into(),
            name: n.into(),
        };
        assert_eq!(
            name("s", "Group", "ÄPFEL").key(),
            name("S", "gROUP", "äpfel").key()
        );
        assert_ne!(name("s", "g", "a").key(), name("s", "g", "b").key());
    }
}
