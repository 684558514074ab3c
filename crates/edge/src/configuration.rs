//! What the edge asks of whoever knows the settings.

use std::sync::Arc;

use faults::{Class, Fault};
use serde_json::{Map, Value};

use crate::Gateway;

/// A setting in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its dotted name.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Where the value comes from, in words.
    pub origin: String,
}

/// What reading the settings again came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Settings whose new values hold from now on.
    pub changed: Vec<String>,
    /// Settings whose new values need a restart; the old ones hold.
    pub restart: Vec<String>,
}

/// Knows the settings and may change them. Everything may wait for the disk.
pub trait Configuration: Send + Sync {
    /// The settings that servers share, as they are in force here.
    fn shared(&self) -> Vec<Setting>;

    /// The cluster configuration document; empty where there is none.
    ///
    /// # Errors
    /// `InternalError.ClusterConfigBlobMisconfigured` for one that is damaged;
    /// `InternalError.ContainerValidationFailed`.
    fn document(&self) -> Result<Map<String, Value>, Fault>;

    /// Puts another document in its place, durably, and lets it hold.
    ///
    /// # Errors
    /// `BadArgument.RequestBodyInvalid` for one that is not valid, at the setting's name; those of
    /// the blob store. Then nothing has changed.
    fn put_document(&self, document: Map<String, Value>) -> Result<Reloaded, Fault>;

    /// Changes some settings in the document; `null` takes one out.
    ///
    /// # Errors
    /// As for the other two; `Conflict` for a setting to which this server has a stronger source.
    fn put_shared(&self, changes: Map<String, Value>) -> Result<Reloaded, Fault>;

    /// Reads all sources and the certificate again.
    ///
    /// # Errors
    /// `InternalError.ClusterConfigBlobMisconfigured`, `InternalError.InvalidMemoryConfiguration`,
    /// or `InternalError` with the reason in its cause. Then everything is as it was.
    fn reload(&self) -> Result<Reloaded, Fault>;
}

impl Gateway {
    /// Who knows the settings.
    pub(crate) fn configuration(&self) -> Result<Arc<dyn Configuration>, Fault> {
        let known = self.configuration.get().and_then(std::sync::Weak::upgrade);
        known.ok_or_else(|| {
            Fault::bare(Class::ServiceUnavailable).because("the server starts or ends")
        })
    }
}
