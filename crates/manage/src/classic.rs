//! The classic API: what its paths name, and its web services.
//!
//! A web service is found there by its workspace and its id, an endpoint of it by its name. A
//! service that was deployed by the Resource Manager stands there as well, under the title of its
//! package.

use std::sync::Arc;

use faults::{Class, Fault, bad_argument, not_found};
use store::{Entry, Id, ResourceName, Role, Workspace};

use crate::access::{Principal, Target};
use crate::view::ServiceView;
use crate::{Inner, Manager};

/// A workspace, as a path of the classic API and of the Studio API names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspacePath {
    /// `None` where the text is no id, and so no workspace has it.
    id: Option<Id>,
}

impl WorkspacePath {
    /// Reads the path's segment, percent-decoded.
    ///
    /// # Errors
    /// `BadArgument.MissingWorkspaceId` for an empty one.
    pub fn parse(workspace: &str) -> Result<WorkspacePath, Fault> {
        if workspace.is_empty() {
            return Err(bad_argument::missing_workspace_id());
        }
        let id = Id::parse(workspace);
        Ok(WorkspacePath { id })
    }

    /// Whether it names that workspace.
    pub(crate) fn is(&self, workspace: Id) -> bool {
        self.id == Some(workspace)
    }
}

/// A web service, as a path of the classic API names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePath {
    /// The workspace.
    pub(crate) workspace: WorkspacePath,
    /// The service's id.
    pub(crate) service: Id,
}

impl ServicePath {
    /// Reads the path's segments, percent-decoded.
    ///
    /// # Errors
    /// In this order: `BadArgument.MissingWorkspaceId`, `BadArgument.MissingWebServiceGroupId` for
    /// an empty segment; `BadArgument.WebServiceIdInvalid` for a service that is no GUID.
    pub fn parse(workspace: &str, service: &str) -> Result<ServicePath, Fault> {
        let workspace = WorkspacePath::parse(workspace)?;
        if service.is_empty() {
            return Err(bad_argument::missing_web_service_group_id());
        }
        let service = Id::parse(service).ok_or_else(bad_argument::web_service_id_invalid)?;
        Ok(ServicePath { workspace, service })
    }
}

/// A web service as the classic API shows it.
#[derive(Debug, Clone)]
pub struct ClassicService {
    /// The record of its default endpoint, and what answers the calls to that.
    pub service: ServiceView,
    /// How many endpoints it has.
    pub endpoints: usize,
}

impl Manager {
    /// The web services of a workspace, by name.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WorkspaceNotFound`; `InternalError.UnknownError` when the ledger fails.
    pub async fn classic_services(
        &self,
        principal: &Principal,
        path: &WorkspacePath,
    ) -> Result<Vec<ClassicService>, Fault> {
        let found: Vec<Arc<Entry>> = {
            let workspace = self.inner.workspace_at(principal, Role::Read, path)?;
            principal.permit_list(&Target::workspace(&workspace))?;
            let directory = self.inner.store.ledger.directory();
            let mut found: Vec<_> = directory
                .services()
                .filter(|entry| entry.workspace == workspace.id)
                .filter(|entry| principal.sees(&Target::service(entry)))
                .cloned()
                .collect();
            found.sort_by_cached_key(|entry| (entry.service_name.key().name, entry.service));
            found
        };
        self.inner.shown(found).await
    }

    /// A web service.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WorkspaceNotFound`, `.WebServiceNotFound`, `.WebServiceIdNotFoundInWorkspace`;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn classic_service(
        &self,
        principal: &Principal,
        path: &ServicePath,
    ) -> Result<ClassicService, Fault> {
        let entry = self.inner.service_at(principal, Role::Read, path)?;
        let mut shown = self.inner.shown(vec![entry]).await?;
        shown.pop().ok_or_else(not_found::web_service_not_found)
    }

    /// The endpoint whose keys sign in for a call with this path, if there is one. What it is and
    /// that it exists is for who has signed in.
    pub fn endpoint_to_sign_in_on(&self, path: &ServicePath, name: &str) -> Option<Arc<Entry>> {
        let entry = self.inner.endpoint_named(path.service, name)?;
        path.workspace.is(entry.workspace).then_some(entry)
    }

    /// The full name of the web service, for the operations that go by it.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WorkspaceNotFound`, `.WebServiceNotFound`, `.WebServiceIdNotFoundInWorkspace`.
    pub fn name_at(
        &self,
        principal: &Principal,
        role: Role,
        path: &ServicePath,
    ) -> Result<ResourceName, Fault> {
        let entry = self.inner.service_at(principal, role, path)?;
        Ok(entry.service_name.clone())
    }
}

impl Inner {
    /// The workspace that a path names. That there is none is told to those who may see all.
    pub(crate) fn workspace_at(
        &self,
        principal: &Principal,
        role: Role,
        path: &WorkspacePath,
    ) -> Result<Arc<Workspace>, Fault> {
        let directory = self.store.ledger.directory();
        match path.id.and_then(|id| directory.workspace(&id)) {
            Some(workspace) => Ok(workspace.clone()),
            None => {
                principal.permit(role, &Target::installation())?;
                Err(not_found::workspace_not_found())
            }
        }
    }

    /// The default endpoint of the service that a path names, for whoever asks. A failed look-up
    /// is told to those whose scope it lies in.
    fn look_up(
        &self,
        principal: &Principal,
        role: Role,
        path: &ServicePath,
    ) -> Result<Arc<Entry>, Fault> {
        let workspace = self.workspace_at(principal, role, &path.workspace)?;
        let directory = self.store.ledger.directory();
        // An endpoint's id leads to the endpoint, and is not what a path names here.
        let found = directory
            .endpoint(&path.service)
            .filter(|entry| entry.service == path.service);
        match found {
            Some(entry) if entry.workspace == workspace.id => Ok(entry.clone()),
            elsewhere => {
                principal.permit(role, &Target::workspace(&workspace))?;
                Err(match elsewhere {
                    Some(entry) if principal.sees(&Target::service(entry)) => {
                        not_found::web_service_id_not_found_in_workspace()
                    }
                    _ => not_found::web_service_not_found(),
                })
            }
        }
    }

    /// The default endpoint of the service that a path names.
    pub(crate) fn service_at(
        &self,
        principal: &Principal,
        role: Role,
        path: &ServicePath,
    ) -> Result<Arc<Entry>, Fault> {
        let entry = self.look_up(principal, role, path)?;
        principal.permit(role, &Target::service(&entry))?;
        Ok(entry)
    }

    /// An endpoint of the service that a path names, by its name in any case. Whoever is good for
    /// that endpoint alone may ask for it too.
    pub(crate) fn endpoint_at(
        &self,
        principal: &Principal,
        role: Role,
        path: &ServicePath,
        name: &str,
    ) -> Result<Arc<Entry>, Fault> {
        let default = self.look_up(principal, role, path)?;
        match self.endpoint_named(default.service, name) {
            Some(entry) => {
                principal.permit(role, &Target::endpoint(&entry))?;
                Ok(entry)
            }
            None => {
                principal.permit(role, &Target::service(&default))?;
                Err(Fault::bare(Class::NotFound)
                    .because("the service has no endpoint of that name"))
            }
        }
    }

    /// The endpoint of that name, in any case, of a service.
    pub(crate) fn endpoint_named(&self, service: Id, name: &str) -> Option<Arc<Entry>> {
        let directory = self.store.ledger.directory();
        let all = directory.endpoints_of(&service);
        all.iter()
            .find(|entry| entry.endpoint_name.eq_ignore_ascii_case(name))
            .cloned()
    }

    /// Services with what answers their calls; one that went in between is left out.
    async fn shown(&self, found: Vec<Arc<Entry>>) -> Result<Vec<ClassicService>, Fault> {
        let ids = found.iter().map(|entry| entry.revision).collect();
        let definitions = self.store.ledger.definitions(ids).await?;
        let mut definitions = definitions.into_iter().peekable();
        let mut shown = Vec::with_capacity(found.len());
        for entry in found {
            let Some((_, text)) = definitions.next_if(|(id, _)| *id == entry.revision) else {
                continue;
            };
            let directory = self.store.ledger.directory();
            let endpoints = directory.endpoints_of(&entry.service).len();
            drop(directory);
            shown.push(ClassicService {
                service: ServiceView::new(entry, &text)?,
                endpoints,
            });
        }
        Ok(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::BadArgument as Row;

    #[test]
    fn the_first_thing_wrong_with_a_path_is_named() {
        let id = "00112233445566778899aabbccddeeff";
        let refused = |workspace, service| ServicePath::parse(workspace, service).unwrap_err();
        assert!(refused("", "").is(&Row::MissingWorkspaceId));
        assert!(refused(id, "").is(&Row::MissingWebServiceGroupId));
        assert!(refused(id, "my service").is(&Row::WebServiceIdInvalid));
        let hyphens = "00112233-4455-6677-8899-AABBCCDDEEFF";
        assert_eq!(
            ServicePath::parse(id, id).unwrap(),
            ServicePath::parse(hyphens, hyphens).unwrap()
        );
        assert_eq!(WorkspacePath::parse("no id").unwrap().id, None);
    }
}
