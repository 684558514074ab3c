//! One change of a service at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use faults::{Class, Fault};
use store::NameKey;

/// The names of the services that are being changed now.
#[derive(Debug, Default)]
pub(crate) struct InProgress(Mutex<HashSet<NameKey>>);

/// A change under way; dropping it lets the next one begin.
#[derive(Debug)]
pub(crate) struct Turn {
    all: Arc<InProgress>,
    name: NameKey,
}

impl InProgress {
    /// Begins a change of the service of that name.
    ///
    /// # Errors
    /// `Conflict` while another change of it is under way: it would be lost, or lose.
    pub(crate) fn begin(self: &Arc<Self>, name: NameKey) -> Result<Turn, Fault> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.insert(name.clone()) {
            return Err(
                Fault::bare(Class::Conflict).because("another change of the service is under way")
            );
        }
        Ok(Turn {
            all: self.clone(),
            name,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut names = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::ResourceName;

    #[test]
    fn the_second_change_waits_for_no_one() {
        let name = |text: &str| {
            ResourceName {
                subscription: "s".into(),
                resource_group: "g".into(),
                name: text.into(),
            }
            .key()
        };
        let all = Arc::new(InProgress::default());
        let first = all.begin(name("a")).unwrap();
        assert_eq!(all.begin(name("A")).unwrap_err().class(), Class::Conflict);
        let _other = all.begin(name("b")).unwrap();
        drop(first);
        all.begin(name("a")).unwrap();
    }
}
