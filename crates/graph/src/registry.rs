//! The modules and loaders of an installation.

use std::sync::Arc;

use crate::interface::{Interface, PortKind};
use crate::module::{Module, ResourceLoader};
use crate::package::Asset;

/// Modules by family, with names as a fallback, and loaders by the kind of port they feed.
#[derive(Clone, Default)]
pub struct Registry {
    modules: Vec<Arc<dyn Module>>,
    loaders: Vec<Arc<dyn ResourceLoader>>,
}

impl Registry {
    /// A registry without modules and loaders.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Adds a module.
    #[must_use]
    pub fn with(mut self, module: impl Module + 'static) -> Registry {
        self.modules.push(Arc::new(module));
        self
    }

    /// Adds a loader.
    #[must_use]
    pub fn with_loader(mut self, loader: impl ResourceLoader + 'static) -> Registry {
        self.loaders.push(Arc::new(loader));
        self
    }

    /// The interfaces of all modules, for listings.
    pub fn describe(&self) -> impl Iterator<Item = &'static Interface> {
        self.modules.iter().map(|module| module.interface())
    }

    /// The module that an asset names: by its family, whatever workspace, version and build the
    /// uri says; by its name only where the uri has no family, so that a custom module that is
    /// called like a built-in one is not mistaken for it.
    pub fn module(&self, asset: &Asset) -> Option<&Arc<dyn Module>> {
        if let Some(family) = asset.module_family() {
            return self.modules.iter().find(|module| {
                let interface = module.interface();
                let mut families = std::iter::once(&interface.family).chain(interface.families);
                families.any(|known| known.eq_ignore_ascii_case(family))
            });
        }
        let name = asset.name.trim();
        self.modules.iter().find(|module| {
            let interface = module.interface();
            let mut names = std::iter::once(&interface.name).chain(interface.aliases);
            names.any(|known| known.eq_ignore_ascii_case(name))
        })
    }

    /// The loader of resources that feed a port of that kind.
    pub fn loader(&self, kind: PortKind) -> Option<&Arc<dyn ResourceLoader>> {
        self.loaders.iter().find(|loader| loader.kind() == kind)
    }
}
