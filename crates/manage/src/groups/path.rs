//! What paths of the Studio API name.

use faults::{Fault, bad_argument};
use store::Id;

use super::request;
use crate::classic::WorkspacePath;

/// A group, as a path names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPath {
    /// The workspace.
    pub(crate) workspace: WorkspacePath,
    /// `None` where the text is no id, and so no group has it.
    pub(crate) group: Option<Id>,
}

impl GroupPath {
    /// Reads the path's segments, percent-decoded.
    ///
    /// # Errors
    /// In this order: `BadArgument.MissingWorkspaceId`, `BadArgument.MissingWebServiceGroupId` for
    /// an empty segment.
    pub fn parse(workspace: &str, group: &str) -> Result<GroupPath, Fault> {
        let workspace = WorkspacePath::parse(workspace)?;
        if group.is_empty() {
            return Err(bad_argument::missing_web_service_group_id());
        }
        Ok(GroupPath {
            workspace,
            group: Id::parse(group),
        })
    }

    /// Reads the id of a model package of the group.
    ///
    /// # Errors
    /// `BadArgument.ModelPackageIdInvalid`.
    pub fn package_id(text: &str) -> Result<Id, Fault> {
        request::package_id(text)
    }

    /// Reads the id of a web service of the group.
    ///
    /// # Errors
    /// `BadArgument.MissingWebServiceId` for an empty one; `BadArgument.WebServiceIdInvalid`.
    pub fn service_id(text: &str) -> Result<Id, Fault> {
        if text.is_empty() {
            return Err(bad_argument::missing_web_service_id());
        }
        Id::parse(text).ok_or_else(bad_argument::web_service_id_invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::BadArgument as Row;

    #[test]
    fn the_first_thing_wrong_with_a_path_is_named() {
        let id = "00112233445566778899aabbccddeeff";
        let refused = |workspace, group| GroupPath::parse(workspace, group).unwrap_err();
        assert!(refused("", "").is(&Row::MissingWorkspaceId));
        assert!(refused(id, "").is(&Row::MissingWebServiceGroupId));
        // A group is named by whatever text; none has one that is no id.
        assert_eq!(GroupPath::parse(id, "mine").unwrap().group, None);
        for text in ["", "first"] {
            let fault = GroupPath::package_id(text).unwrap_err();
            assert!(fault.is(&Row::ModelPackageIdInvalid));
        }
        let service = |text| GroupPath::service_id(text).unwrap_err();
        assert!(service("").is(&Row::MissingWebServiceId));
        assert!(service("first").is(&Row::WebServiceIdInvalid));
        assert!(GroupPath::service_id(id).is_ok());
    }
}
