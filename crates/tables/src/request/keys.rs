//! The names seen in one object, to find one that stands twice.

use std::borrow::Cow;
use std::collections::HashSet;

/// Few names are compared one by one; many go into a set whose hashes a request cannot foresee.
#[derive(Debug, Default)]
pub(super) struct Keys<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

const FEW: usize = 16;

impl<'a> Keys<'a> {
    /// Adds a name; false where it is there already.
    pub(super) fn insert(&mut self, name: Cow<'a, str>) -> bool {
        if self.many.is_empty() {
            if self.few.contains(&name) {
                return false;
            }
            if self.few.len() < FEW {
                self.few.push(name);
                return true;
            }
            self.many.extend(self.few.drain(..));
        }
        self.many.insert(name)
    }

    /// Whether no name was added.
    pub(super) fn is_empty(&self) -> bool {
        self.few.is_empty() && self.many.is_empty()
    }

    /// The number of names.
    pub(super) fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }

    /// Forgets all names.
    pub(super) fn clear(&mut self) {
        self.few.clear();
        self.many.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Keys;

    #[test]
    fn a_repeated_name_is_found_among_few_and_many() {
        let mut keys = Keys::default();
        assert!(keys.is_empty());
        for i in 0..100 {
            assert!(keys.insert(format!("name {i}").into()));
            assert_eq!(keys.len(), i + 1);
            for earlier in 0..=i {
                assert!(!keys.insert(format!("name {earlier}").into()));
            }
        }
        keys.clear();
        assert!(keys.is_empty() && keys.insert("name 1".into()));
    }
}
