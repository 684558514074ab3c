//! What stored resources become.

use std::sync::Arc;

use faults::{Fault, internal_error};
use graph::{PortKind, PortValue, ResourceLoader};
use models::Model;

use crate::transform::Transform;

/// Trained models, in every format that `models` reads.
pub(crate) struct Models;

impl ResourceLoader for Models {
    fn kind(&self) -> PortKind {
        PortKind::Model
    }

    fn load(&self, _asset: &str, bytes: &[u8]) -> Result<PortValue, Fault> {
        Ok(PortValue::Object(Arc::new(Model::load(bytes)?)))
    }
}

/// Transformations, as the documents of `transform.rs`.
pub(crate) struct Transforms;

impl ResourceLoader for Transforms {
    fn kind(&self) -> PortKind {
        PortKind::Transform
    }

    fn load(&self, asset: &str, bytes: &[u8]) -> Result<PortValue, Fault> {
        let transform = Transform::read(bytes).map_err(|problem| {
            internal_error::resource_load_failed()
                .because(format!("transformation \"{asset}\": {problem}"))
        })?;
        Ok(PortValue::Object(Arc::new(transform)))
    }
}

/// Data sets, as comma-separated files with a header row; types are found out from the values.
pub(crate) struct Datasets;

impl ResourceLoader for Datasets {
    fn kind(&self) -> PortKind {
        PortKind::Table
    }

    fn load(&self, asset: &str, bytes: &[u8]) -> Result<PortValue, Fault> {
        let table = tables::csv::infer(bytes).map_err(|fault| {
            // What is wrong with a cell is a caller's fault in a request; here it is the file's.
            let problem = fault
                .details()
                .first()
                .map_or_else(String::new, |d| d.args.join(", "));
            internal_error::resource_load_failed()
                .because(format!("dataset \"{asset}\": {}: {problem}", fault.name()))
        })?;
        Ok(PortValue::Table(table))
    }
}

#[cfg(test)]
mod tests {
    use faults::Class;
    use faults::rows::InternalError::ResourceLoadFailed;

    use super::*;

    #[test]
    fn resources_become_what_their_ports_take() {
        let table = Datasets.load("d", b"a,b\n1,x\n2,\n").unwrap();
        assert_eq!(table.as_table().unwrap().rows(), 2);
        let document = br#"{"format":"umpire-transform","version":1,"kind":"clean-missing"}"#;
        assert!(
            Transforms
                .load("t", document)
                .unwrap()
                .downcast::<Transform>()
                .is_some()
        );
    }

    #[test]
    fn what_cannot_be_read_is_named_in_the_log() {
        let fault = Datasets.load("people", b"a,b\n1\n").unwrap_err();
        assert!(fault.is(&ResourceLoadFailed));
        assert!(fault.cause().unwrap().contains("\"people\""), "{fault:?}");
        let fault = Transforms.load("scale", b"{}").unwrap_err();
        assert!(fault.is(&ResourceLoadFailed));
        assert!(
            fault.cause().unwrap().contains("\"scale\": \"format\""),
            "{fault:?}"
        );
        let fault = Models
            .load("model", b"version https://git-lfs.github.com/spec/v1\n")
            .unwrap_err();
        assert_eq!(fault.class(), Class::ModelPackageFormatError);
    }
}
