//! Making a service, and giving one a further revision.

use std::sync::Arc;

use faults::{Class, Fault};
use graph::{Package, Plan};
use jiff::Timestamp;
use serde_json::Value;
use store::{
    Entry, Id, NameKey, Publication, ResourceName, Role, Scope, ServiceWrite, Sha256, Slot,
};
use telemetry::NoteLevel;

use crate::access::{Principal, Target};
use crate::credentials::{self, Region};
use crate::download::{Account, Located};
use crate::groups;
use crate::in_progress::Turn;
use crate::json::{self, Body};
use crate::view::ServiceView;
use crate::{
    Inner, Manager, Throttles, definition, diagnostics, names, payload, secrets, shapes, source,
};

/// What a deploy came to.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// The service as it now is.
    pub service: ServiceView,
    /// Whether it was made, rather than given a further revision.
    pub created: bool,
}

/// A definition that somebody asks for, before anything of it was looked at but its form.
pub(crate) struct Order {
    pub(crate) principal: Principal,
    pub(crate) name: ResourceName,
    /// The service as it is, where it is.
    pub(crate) before: Option<Arc<Entry>>,
    /// The resource, whole and with its secrets.
    pub(crate) body: Body,
    /// Resources that need not be fetched again: asset, location and blob.
    pub(crate) known: Vec<(String, String, Sha256)>,
    /// Both keys, where they are not the body's affair.
    pub(crate) keys: Option<[String; 2]>,
    /// The operation that this is done for.
    pub(crate) operation: Option<Id>,
    /// The slot of a group that the service stands in, where a model package is published.
    pub(crate) publication: Option<Publication>,
    pub(crate) ids: Ids,
}

/// The ids that a service has, or is to have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids {
    pub(crate) service: Id,
    pub(crate) endpoint: Id,
}

/// A definition that was checked as far as that goes without fetching anything.
pub(crate) struct Checked {
    /// Where each resource is.
    located: Vec<(String, Located)>,
    keys: Option<[String; 2]>,
    pub(crate) max_concurrent_calls: u32,
    pub(crate) workspace: Id,
    pub(crate) read_only: bool,
    plan: Option<ResourceName>,
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
    /// `.WebServiceTooManyConcurrentRequestRequirement`, `.IncompleteSettings`,
    /// `.ExpiryTimeInThePast`; `NotFound.WorkspaceNotFound`; `Conflict`
    /// for another location or workspace than it was made with, and for given keys when a key was
    /// made anew meanwhile; what fetching its resources and loading it fails with;
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
        self.deploy_as(principal, name, body, publication, None)
            .await
    }

    /// [`Manager::deploy`] of a service whose id, where it is new, the client has chosen.
    pub(crate) async fn deploy_with_id(
        &self,
        principal: &Principal,
        name: ResourceName,
        body: impl AsRef<[u8]> + Send + 'static,
        id: Id,
    ) -> Result<Deployed, Fault> {
        self.deploy_as(principal, name, body, None, Some(id)).await
    }

    async fn deploy_as(
        &self,
        principal: &Principal,
        name: ResourceName,
        body: impl AsRef<[u8]> + Send + 'static,
        publication: Option<Publication>,
        id: Option<Id>,
    ) -> Result<Deployed, Fault> {
        let (inner, principal) = (self.inner.clone(), principal.clone());
        let task = tokio::spawn(async move {
            let ordered = inner.clone();
            let ordered = tokio::task::spawn_blocking(move || {
                let (turn, mut order) =
                    ordered.order(name, &principal, |_| Body::parse(body.as_ref()))?;
                if let (None, Some(id)) = (&order.before, id) {
                    order.ids.service = id;
                }
                if let Some(publication) = publication {
                    // The classic API knows a group's production service by the group's id.
                    if order.before.is_none() && publication.slot == Slot::Production {
                        order.ids.service = publication.group;
                    }
                    order.publication = Some(publication);
                }
                let checked = match payload::is_elsewhere(&order.body) {
                    true => None,
                    false => Some(ordered.check(&order)?),
                };
                Ok((turn, order, checked))
            });
            let (turn, order, checked) = ordered.await.map_err(|e| broken(&e))??;
            let result = inner.carry_out(order, checked, |_| ()).await;
            drop(turn);
            result
        });
        task.await.map_err(|e| broken(&e))?
    }
}

impl Inner {
    /// Takes the turn for a change of a service and reads what is asked for; `body` is given the
    /// service as it is. May wait for the disk.
    pub(crate) fn order(
        &self,
        name: ResourceName,
        principal: &Principal,
        body: impl FnOnce(Option<&Entry>) -> Result<Body, Fault>,
    ) -> Result<(Turn, Order), Fault> {
        names::check(&name)?;
        let key = name.key();
        self.may_deploy(principal, &key)?;
        let turn = self.in_progress.begin(key.clone())?;
        // Looked up again: before the turn it may have been removed and made anew elsewhere.
        let before = self.may_deploy(principal, &key)?;
        if before.as_ref().is_some_and(|entry| entry.read_only) {
            return Err(conflict("the service is read-only"));
        }
        let mut body = body(before.as_deref())?;
        body.settle();
        if let Some(before) = &before {
            let revision = self.store.ledger.revision_blocking(before.revision)?;
            let secrets = self.store.ledger.secrets_blocking(before.revision)?;
            secrets::reinstate(&mut body, &revision.definition, secrets.as_deref());
            self.open_credentials(&mut body, secrets.as_deref())?;
        } else {
            self.open_credentials(&mut body, None)?;
        }
        let order = Order {
            principal: principal.clone(),
            name,
            ids: Ids {
                service: before.as_ref().map_or_else(Id::random, |e| e.service),
                endpoint: before.as_ref().map_or_else(Id::random, |e| e.endpoint),
            },
            before,
            body,
            known: Vec::new(),
            keys: None,
            operation: None,
            publication: None,
        };
        Ok((turn, order))
    }

    /// Everything that can be said about a definition without fetching or running anything. May
    /// wait for the disk.
    pub(crate) fn check(&self, order: &Order) -> Result<Checked, Fault> {
        let mut package = Package::from_json(&order.body.resource)?;
        self.options.load().modules.resolve(&mut package)?;
        Plan::validate(&package, &self.registry)?;
        if let Some(properties) = order.body.properties() {
            shapes::check(properties)?;
        }
        let located = self.resources(&package, &order.known)?;
        let keys = given_keys(&package)?;
        let max_concurrent_calls = self.options.load().throttles.of(&package)?;
        if package.max_concurrent_calls.is_some()
            && let Some(before) = &order.before
        {
            let slot = self.store.ledger.slot_of_blocking(before.service)?;
            groups::check_concurrency_is_free(slot)
                .map_err(|fault| fault.at("realtimeConfiguration/maxConcurrentCalls"))?;
        }
        check_diagnostics(&package)?;
        let workspace = self.workspace(order, package.workspace.as_deref())?;
        self.check_location(order)?;
        Ok(Checked {
            located,
            keys,
            max_concurrent_calls,
            workspace,
            read_only: package.read_only,
            plan: package
                .commitment_plan
                .as_deref()
                .and_then(store::plan_name),
        })
    }

    /// Opens the credentials that were sealed here for the body's region.
    pub(crate) fn open_credentials(
        &self,
        body: &mut Body,
        secrets: Option<&[u8]>,
    ) -> Result<(), Fault> {
        let region = Region::of(&self.store.sealer, &body.location);
        let properties = body
            .resource
            .as_object_mut()
            .and_then(|top| json::object_mut(top, "properties"));
        match properties {
            Some(properties) => credentials::open(properties, &region, secrets),
            None => Ok(()),
        }
    }

    /// A service stays where it is.
    pub(crate) fn check_location(&self, order: &Order) -> Result<(), Fault> {
        match &order.before {
            Some(before) if !names::same_location(&before.location, &order.body.location) => {
                Err(conflict("a service cannot move to another location"))
            }
            _ => Ok(()),
        }
    }

    /// Where each resource asset is. A blob that is here is kept from a sweep until the ledger
    /// names it.
    fn resources(
        &self,
        package: &Package,
        known: &[(String, String, Sha256)],
    ) -> Result<Vec<(String, Located)>, Fault> {
        let account = package.storage_account.clone().unwrap_or_default();
        let account = Account {
            name: account.name.unwrap_or_default(),
            key: account.key.unwrap_or_default(),
        };
        package
            .resources()
            .map(|(id, asset)| {
                let same = |(k, uri, _): &&(String, String, Sha256)| k == id && *uri == asset.uri;
                if let Some((_, _, sha256)) = known.iter().find(same)
                    && self.store.blobs.keep(sha256)?
                {
                    return Ok((id.to_owned(), Located::Here(*sha256)));
                }
                self.locate(&asset.uri, &asset.credentials, &account)
                    .map(|located| (id.to_owned(), located))
                    .map_err(|fault| match fault.class() {
                        Class::BadArgument => fault.at(format!("assets/{id}")),
                        _ => fault,
                    })
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
    pub(crate) fn workspace(&self, order: &Order, asked: Option<&str>) -> Result<Id, Fault> {
        let unknown = faults::not_found::workspace_not_found;
        let (before, principal) = (order.before.as_deref(), &order.principal);
        let may = |id| {
            let target = Target::resource(&order.name.key()).in_workspace(id);
            match before {
                // Whoever may change the service was asked already.
                Some(_) => Ok(id),
                None => principal.permit(Role::Manage, &target).map(|()| id),
            }
        };
        let directory = self.store.ledger.directory();
        let Some(asked) = asked.filter(|id| !id.is_empty()) else {
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

    /// Fetches what is elsewhere, loads the revision in a container, stores it, and lets it answer
    /// calls. `checked` is absent where the definition itself is still to be fetched. `progress`
    /// is told hundredths.
    pub(crate) async fn carry_out(
        self: &Arc<Self>,
        order: Order,
        checked: Option<Checked>,
        progress: impl Fn(u8) + Send + Sync,
    ) -> Result<Deployed, Fault> {
        let (created, endpoint) = (order.before.is_none(), order.ids.endpoint);
        let result = self.steps(order, checked, progress).await;
        if let (Err(fault), false) = (&result, created) {
            // A service that was not made has no log to look into.
            self.note_failure(endpoint, "a deploy failed", fault);
        }
        result.map(|service| Deployed { service, created })
    }

    async fn steps(
        self: &Arc<Self>,
        mut order: Order,
        checked: Option<Checked>,
        progress: impl Fn(u8) + Send + Sync,
    ) -> Result<ServiceView, Fault> {
        let checked = match checked {
            Some(checked) => checked,
            None => {
                payload::fetch(self, &mut order).await?;
                let (inner, given) = (self.clone(), order);
                let task = tokio::task::spawn_blocking(move || {
                    let checked = inner.check(&given);
                    (given, checked)
                });
                let (given, checked) = task.await.map_err(|e| broken(&e))?;
                order = given;
                checked?
            }
        };
        progress(20);
        let count = checked.located.len().max(1);
        let mut resources = Vec::with_capacity(count);
        for (done, (id, located)) in checked.located.iter().enumerate() {
            let sha256 = match located {
                Located::Here(sha256) => *sha256,
                Located::Away(source) => self
                    .fetch(source)
                    .await
                    .map_err(|fault| fault.at(format!("assets/{id}")))?,
            };
            resources.push((id.clone(), sha256));
            progress(u8::try_from(20 + 40 * (done + 1) / count).unwrap_or(60));
        }
        progress(60);
        self.load_and_store(&order, checked, resources, || progress(90))
            .await
    }

    /// Loads the revision in a container, stores it, and lets it answer calls.
    async fn load_and_store(
        &self,
        order: &Order,
        checked: Checked,
        resources: Vec<(String, Sha256)>,
        loaded: impl FnOnce(),
    ) -> Result<ServiceView, Fault> {
        let before = order.before.as_deref();
        let mut properties = order.body.properties().cloned().unwrap_or_default();
        let region = Region::of(&self.store.sealer, &order.body.location);
        let secrets = definition::take_all(&mut properties, &region);
        let definition = Value::from(properties).to_string();
        let revision = Id::random();
        let files = source::files(
            &self.store,
            revision,
            credentials::plain(definition.clone(), secrets.as_deref()),
            &resources,
            self.options.load().pool,
            &self.options.load().modules,
        )?;
        let write = ServiceWrite {
            service: order.ids.service,
            endpoint: order.ids.endpoint,
            revision,
            expected: before.map(|e| e.version),
            name: order.name.clone(),
            location: order.body.location.clone(),
            tags: Value::from(order.body.tags.clone()).to_string(),
            workspace: checked.workspace,
            read_only: checked.read_only,
            max_concurrent_calls: checked.max_concurrent_calls,
            keys: order.keys.clone().or(checked.keys),
            definition: definition.clone(),
            secrets,
            resources,
            plan: checked.plan,
        };
        let label = format!("{}/{}", order.name.name, store::DEFAULT_ENDPOINT);
        let endpoint = order.ids.endpoint;
        let prepared = self.host.prepare(endpoint.0, &label, files).await?;
        loaded();
        let ledger = &self.store.ledger;
        let (seen, actor) = (before.map(|entry| entry.keys), order.principal.actor());
        let entry = match (order.operation, &order.publication) {
            (_, Some(publication)) => {
                let publication = publication.clone();
                ledger.publish(write, seen, publication, actor).await?
            }
            (Some(operation), None) => ledger.finish_put(operation, write, seen, actor).await?,
            (None, None) => ledger.put_service_over(write, seen, actor).await?,
        };
        self.host.activate(prepared);
        let text = format!("revision {} answers calls", entry.revision_number);
        self.telemetry.note(endpoint.0, NoteLevel::Info, text);
        ServiceView::new(entry, &definition)
    }

    /// A line for `umpire logs` about a change that did not come to be.
    pub(crate) fn note_failure(&self, endpoint: Id, what: &str, fault: &Fault) {
        let text = format!("{what}, the service goes on as it was: {}", fault.name());
        self.telemetry.note(endpoint.0, NoteLevel::Error, text);
    }
}

/// The rules for `properties.diagnostics`.
fn check_diagnostics(package: &Package) -> Result<(), Fault> {
    let Some(diagnostics) = &package.diagnostics else {
        return Ok(());
    };
    let given = |value: Option<&String>| value.is_some_and(|text| !text.trim().is_empty());
    let account = package.storage_account.as_ref();
    let asked = diagnostics::Asked {
        level: ("diagnostics/level", diagnostics.level.as_deref()),
        complete: given(account.and_then(|account| account.name.as_ref()))
            && given(account.and_then(|account| account.key.as_ref())),
        expiry: ("diagnostics/expiry", diagnostics.expiry.as_deref()),
        // Made of ids alone, they are never too long.
        blob_names: &[],
    };
    diagnostics::check(&asked, Timestamp::now()).map(drop)
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
