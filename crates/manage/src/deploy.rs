//! Making a service, and giving one a further revision.

use std::sync::Arc;

use containers::RevisionFiles;
use faults::{Class, Fault};
use graph::{Package, Plan};
use serde_json::Value;
use store::{
    Actor, Entry, Id, KeyDigest, NameKey, Publication, ResourceName, Role, Scope, ServiceWrite,
    Sha256, Slot,
};
use telemetry::NoteLevel;

use crate::access::{Principal, Target};
use crate::groups;
use crate::in_progress::Turn;
use crate::json::Body;
use crate::view::ServiceView;
use crate::{Inner, Manager, Throttles, definition, location, names, source};

/// What a deploy came to.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// The service as it now is.
    pub service: ServiceView,
    /// Whether it was made, rather than given a further revision.
    pub created: bool,
}

/// A deploy that was checked as far as the gateway can: all that is left is to load it.
struct Checked {
    turn: Turn,
    actor: Actor,
    write: ServiceWrite,
    /// The keys that the service had when the deploy began.
    keys_seen: Option<[KeyDigest; 2]>,
    files: RevisionFiles,
    /// The slot of a group that the service stands in, where a model package is published.
    publication: Option<Publication>,
}

impl Manager {
    /// Makes the service of that name, or gives it a further revision, from the body of a Resource
    /// Manager PUT of either api-version.
    ///
    /// The answer comes when the service scores or has failed: the revision is loaded and warmed
    /// up in a container before anything is stored, and calls move to it when it is stored. A
    /// deploy that fails changes nothing. One that nobody waits for any more goes on to its end.
    ///
    /// # Errors
    /// In the order of the checks: `BadArgument` for a name that is not allowed;
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope (what is new, once its
    /// workspace is known); `Conflict` while
    /// another change of the service is under way or when it is read-only;
    /// `BadArgument.RequestBodyInvalid`, `.RequestIsEmpty`; what `graph::Package::from_json` and
    /// `graph::Plan::validate` say; `BadArgument.InvalidBlob`, `.BlobNotFound` for a resource;
    /// `BadArgument.MissingKeys`, `.BadParameterValue`,
    /// `.WebServiceTooManyConcurrentRequestRequirement`; `NotFound.WorkspaceNotFound`; `Conflict`
    /// for another location or workspace than it was made with, and for given keys when a key was
    /// made anew meanwhile; what loading it fails with;
    /// `InternalError.FailedStoringWebService`.
    pub async fn deploy(
        &self,
        principal: &Principal,
        name: ResourceName,
        body: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Deployed, Fault> {
        self.deploy_for(principal, name, body, None).await
    }

    /// [`Manager::deploy`], also for the slot of a group.
    pub(crate) async fn deploy_for(
        &self,
        principal: &Principal,
        name: ResourceName,
        body: impl AsRef<[u8]> + Send + 'static,
        publication: Option<Publication>,
    ) -> Result<Deployed, Fault> {
        let (inner, principal) = (self.inner.clone(), principal.clone());
        let task = tokio::spawn(async move {
            let checking = inner.clone();
            let checked = tokio::task::spawn_blocking(move || {
                checking.check(name, body.as_ref(), &principal, publication)
            });
            let checked = checked.await.map_err(|e| broken(&e))??;
            inner.load_and_store(checked).await
        });
        task.await.map_err(|e| broken(&e))?
    }
}

impl Inner {
    /// Everything that can be said about a deploy without running it. May wait for the disk.
    fn check(
        &self,
        name: ResourceName,
        body: &[u8],
        principal: &Principal,
        publication: Option<Publication>,
    ) -> Result<Checked, Fault> {
        names::check(&name)?;
        let key = name.key();
        self.may_deploy(principal, &key)?;
        let turn = self.in_progress.begin(key.clone())?;
        // Looked up again: before the turn it may have been removed and made anew elsewhere.
        let before = self.may_deploy(principal, &key)?;
        if before.as_ref().is_some_and(|entry| entry.read_only) {
            return Err(conflict("the service is read-only"));
        }

        let body = Body::parse(body)?;
        let package = Package::from_json(&body.resource)?;
        Plan::validate(&package, &self.registry)?;
        let resources = self.resources(&package)?;
        let keys = given_keys(&package)?;
        let max_concurrent_calls = self.options.load().throttles.of(&package)?;
        if package.max_concurrent_calls.is_some()
            && let Some(before) = &before
        {
            let slot = self.store.ledger.slot_of_blocking(before.service)?;
            groups::check_concurrency_is_free(slot)
                .map_err(|fault| fault.at("realtimeConfiguration/maxConcurrentCalls"))?;
        }
        let workspace = self.workspace(&package, before.as_deref(), principal, &key)?;
        if let Some(before) = &before
            && !names::same_location(&before.location, &body.location)
        {
            return Err(conflict("a service cannot move to another location"));
        }

        let mut properties = body.properties().cloned().unwrap_or_default();
        let secrets = definition::take_secrets(&mut properties);
        let definition = Value::from(properties).to_string();
        let revision = Id::random();
        let files = source::files(
            &self.store,
            revision,
            definition.clone(),
            &resources,
            self.options.load().pool,
        )?;
        let write = ServiceWrite {
            service: match (&before, &publication) {
                (Some(before), _) => before.service,
                // The classic API knows a group's production service by the group's id.
                (None, Some(publication)) if publication.slot == Slot::Production => {
                    publication.group
                }
                (None, _) => Id::random(),
            },
            endpoint: before.as_ref().map_or_else(Id::random, |e| e.endpoint),
            revision,
            expected: before.as_ref().map(|e| e.version),
            name,
            location: body.location,
            tags: Value::from(body.tags).to_string(),
            workspace,
            read_only: package.read_only,
            max_concurrent_calls,
            keys,
            definition,
            secrets,
            resources,
            plan: package
                .commitment_plan
                .as_deref()
                .and_then(store::plan_name),
        };
        Ok(Checked {
            turn,
            actor: principal.actor().clone(),
            write,
            keys_seen: before.map(|entry| entry.keys),
            files,
            publication,
        })
    }

    /// The blob of each resource asset. Each is kept from a sweep until the ledger names it.
    fn resources(&self, package: &Package) -> Result<Vec<(String, Sha256)>, Fault> {
        package
            .resources()
            .map(|(id, asset)| {
                let target = || format!("assets/{id}");
                let sha256 = location::uploaded_blob(&asset.uri).map_err(|f| f.at(target()))?;
                if !self.store.blobs.keep(&sha256)? {
                    return Err(faults::bad_argument::blob_not_found(
                        format!("umpire:sha256:{sha256}"),
                        "no blob with this SHA-256 has been uploaded",
                    )
                    .at(target()));
                }
                Ok((id.to_owned(), sha256))
            })
            .collect()
    }

    /// The service that a deploy of that name changes, for somebody who may; `None` for a new one,
    /// about which [`Inner::workspace`] has the last word.
    fn may_deploy(
        &self,
        principal: &Principal,
        key: &NameKey,
    ) -> Result<Option<Arc<Entry>>, Fault> {
        let before = self.store.ledger.directory().by_name(key).cloned();
        match &before {
            Some(before) => principal.permit(Role::Manage, &Target::service(before))?,
            None => principal.permit_new(&Target::resource(key))?,
        }
        Ok(before)
    }

    /// The workspace that the service belongs to: the one it has, the one that is asked for, or
    /// the principal's own, or the installation's.
    fn workspace(
        &self,
        package: &Package,
        before: Option<&Entry>,
        principal: &Principal,
        key: &NameKey,
    ) -> Result<Id, Fault> {
        let unknown = faults::not_found::workspace_not_found;
        let may = |id| {
            let target = Target::resource(key).in_workspace(id);
            match before {
                // Whoever may change the service was asked already.
                Some(_) => Ok(id),
                None => principal.permit(Role::Manage, &target).map(|()| id),
            }
        };
        let directory = self.store.ledger.directory();
        let asked = package.workspace.as_deref().filter(|id| !id.is_empty());
        let Some(asked) = asked else {
            return match (before, principal.scope()) {
                (Some(before), _) => Ok(before.workspace),
                (None, Scope::Workspace(own)) => may(*own),
                (None, _) => may(directory.default_workspace().ok_or_else(unknown)?.id),
            };
        };
        // The id may come as an ARM id, whose last segment then counts.
        let id = asked.rsplit('/').next().unwrap_or(asked);
        let id = Id::parse(id).map(may).transpose()?;
        let id = id
            .filter(|id| directory.workspace(id).is_some())
            .ok_or_else(|| unknown().at("machineLearningWorkspace/id"))?;
        if before.is_some_and(|before| before.workspace != id) {
            return Err(conflict("a service cannot move to another workspace"));
        }
        Ok(id)
    }

    /// Loads the revision in a container, stores it, and lets it answer calls.
    async fn load_and_store(&self, checked: Checked) -> Result<Deployed, Fault> {
        let Checked {
            turn,
            actor,
            write,
            keys_seen,
            files,
            publication,
        } = checked;
        let endpoint = write.endpoint;
        let label = format!("{}/{}", write.name.name, store::DEFAULT_ENDPOINT);
        let created = write.expected.is_none();
        let definition = write.definition.clone();

        let result = async {
            let prepared = self.host.prepare(endpoint.0, &label, files).await?;
            let ledger = &self.store.ledger;
            let entry = match publication {
                None => ledger.put_service_over(write, keys_seen, &actor).await?,
                Some(publication) => {
                    ledger
                        .publish(write, keys_seen, publication, &actor)
                        .await?
                }
            };
            self.host.activate(prepared);
            Ok(entry)
        }
        .await;
        let result = match result {
            Ok(entry) => {
                let text = format!("revision {} answers calls", entry.revision_number);
                self.telemetry.note(endpoint.0, NoteLevel::Info, text);
                let service = ServiceView::new(entry, &definition)?;
                Ok(Deployed { service, created })
            }
            Err(fault) => {
                // A service that was not made has no log to look into.
                if !created {
                    self.note_failure(endpoint, "a deploy failed", &fault);
                }
                Err(fault)
            }
        };
        drop(turn);
        result
    }

    /// A line for `umpire logs` about a change that did not come to be.
    pub(crate) fn note_failure(&self, endpoint: Id, what: &str, fault: &Fault) {
        let text = format!("{what}, the service goes on as it was: {}", fault.name());
        self.telemetry.note(endpoint.0, NoteLevel::Error, text);
    }
}

/// The two keys of a package, or none: both or neither.
fn given_keys(package: &Package) -> Result<Option<[String; 2]>, Fault> {
    let Some(keys) = &package.keys else {
        return Ok(None);
    };
    let given = |key: &Option<String>| key.clone().filter(|key| !key.is_empty());
    match (given(&keys.primary), given(&keys.secondary)) {
        (Some(primary), Some(secondary)) => Ok(Some([primary, secondary])),
        _ => Err(faults::bad_argument::missing_keys().at("keys")),
    }
}

impl Throttles {
    /// The throttle that a package asks for.
    ///
    /// # Errors
    /// `BadArgument.BadParameterValue` below the least,
    /// `BadArgument.WebServiceTooManyConcurrentRequestRequirement` above the most.
    pub(crate) fn of(&self, package: &Package) -> Result<u32, Fault> {
        let Some(asked) = package.max_concurrent_calls else {
            return Ok(self.usual);
        };
        let target = "realtimeConfiguration/maxConcurrentCalls";
        if asked < i64::from(self.least) {
            return Err(faults::bad_argument::bad_parameter_value().at(target));
        }
        u32::try_from(asked)
            .ok()
            .filter(|asked| *asked <= self.most)
            .ok_or_else(|| {
                faults::bad_argument::web_service_too_many_concurrent_request_requirement(
                    self.most.to_string(),
                )
                .at(target)
            })
    }
}

pub(crate) fn conflict(cause: &str) -> Fault {
    Fault::bare(Class::Conflict).because(cause)
}

/// A task of ours that panicked or was ended with the process.
pub(crate) fn broken(error: &tokio::task::JoinError) -> Fault {
    faults::internal_error::unknown_error()
        .caused_by(error)
        .because("a task of the management plane did not end in order")
}
