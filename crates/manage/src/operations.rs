//! Changes of web services that go on after their call was answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use faults::{Class, Fault};
use jiff::Timestamp;
use serde_json::Value;
use store::{
    Draft, FailedChange, Id, Operation, OperationKind, OperationState, PatchWrite, ResourceName,
    Role,
};
use telemetry::Surface;

use crate::access::{Principal, Target};
use crate::credentials::{self, Region};
use crate::deploy::{Checked, Order, broken, conflict};
use crate::in_progress::Turn;
use crate::json::{Body, member, object};
use crate::patch::Patch;
use crate::resource::{ProvisioningState, Resource};
use crate::view::ServiceView;
use crate::{Inner, Manager, definition, names, payload};

/// How far the operations of this process are; what is not here stands in the ledger.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<HashMap<Id, Progress>>);

#[derive(Debug, Clone, Default)]
struct Progress {
    /// Hundredths.
    percent: u8,
    /// What it failed with, where the ledger could not be told.
    failed: Option<Fault>,
}

impl Running {
    fn update(&self, id: Id, change: impl FnOnce(&mut Progress)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(id).or_default());
    }

    fn remove(&self, id: Id) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&id);
    }

    fn of(&self, id: Id) -> Option<Progress> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&id).cloned()
    }
}

/// An operation as it is shown.
#[derive(Debug, Clone)]
pub struct OperationView {
    /// What it does, to which service, and how far it is.
    pub operation: Operation,
    /// How much of it is done, in hundredths.
    pub percent: u8,
}

/// What was accepted and goes on.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The operation.
    pub operation: Operation,
    /// The web service as it is to be.
    pub resource: Resource,
}

impl Manager {
    /// Accepts the body of a Resource Manager PUT of either api-version: all that can be said
    /// about it at once is said; resources are fetched and the revision loaded afterwards.
    ///
    /// # Errors
    /// As for [`Manager::deploy`], without what fetching and loading fail with.
    pub async fn put(
        &self,
        principal: &Principal,
        name: ResourceName,
        body: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Accepted, Fault> {
        let (inner, principal) = (self.inner.clone(), principal.clone());
        let task = tokio::spawn(async move {
            let ordering = inner.clone();
            let ordered = tokio::task::spawn_blocking(move || {
                let (turn, order) =
                    ordering.order(name, &principal, |_| Body::parse(body.as_ref()))?;
                let (order, checked, workspace) = ordering.accept(order)?;
                Ok((turn, order, checked, workspace))
            });
            let (turn, order, checked, workspace) = ordered.await.map_err(|e| broken(&e))??;
            inner.begin(turn, order, checked, workspace).await
        });
        task.await.map_err(|e| broken(&e))?
    }

    /// Accepts the body of a Resource Manager PATCH. What needs no further revision (keys, title,
    /// throttle, diagnostics, tags, the storage account's key) is done when this answers, and its
    /// operation has succeeded; the rest goes on like a PUT.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `NotFound.WebServiceNotFound`; `Conflict` for
    /// a service that is read-only, that another change is under way of, or that never came to be,
    /// and for another location, workspace or commitment plan; otherwise as for [`Manager::put`].
    pub async fn patch(
        &self,
        principal: &Principal,
        name: ResourceName,
        body: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Accepted, Fault> {
        let key = name.key();
        if self.inner.found(principal, Role::Manage, &key)?.is_none() {
            return Err(match self.inner.store.ledger.draft(key).await? {
                Some(draft) if draft.failed => conflict("the service never came to be: PUT it"),
                Some(_) => conflict("the service is being made"),
                None => faults::not_found::web_service_not_found(),
            });
        }
        let (inner, principal) = (self.inner.clone(), principal.clone());
        let task = tokio::spawn(async move {
            let ordering = inner.clone();
            let ordered = tokio::task::spawn_blocking(move || {
                let patch = Patch::parse(body.as_ref())?;
                ordering.order_patch(name, &principal, patch)
            });
            let (turn, order, checked, workspace, patch) =
                ordered.await.map_err(|e| broken(&e))??;
            inner
                .begin_patch(turn, order, checked, workspace, patch)
                .await
        });
        task.await.map_err(|e| broken(&e))?
    }

    /// Removes a service, or what never became one; `None` where there is neither. The service is
    /// gone when this answers; its operation ends with its containers, in order.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `Conflict` while another change is under way;
    /// `InternalError.DeleteWebServiceResourceFailed`, which leaves everything as it was.
    pub async fn remove(
        &self,
        principal: &Principal,
        name: &ResourceName,
    ) -> Result<Option<(Operation, String)>, Fault> {
        let key = name.key();
        let ledger = &self.inner.store.ledger;
        let there = self.existing(principal, Role::Manage, name).await?;
        if there.is_none() {
            return Ok(None);
        }
        let turn = self.inner.in_progress.begin(key.clone())?;
        // Looked up again: before the turn it may have been removed and made anew elsewhere.
        let Some(there) = self.existing(principal, Role::Manage, name).await? else {
            return Ok(None);
        };
        let endpoints: Vec<Id> = {
            let directory = ledger.directory();
            let all = directory.endpoints_of(&there.service);
            all.iter().map(|entry| entry.endpoint).collect()
        };
        let operation = Operation::begin(
            OperationKind::Delete,
            there.name,
            there.service,
            there.workspace,
        );
        let (inner, actor) = (self.inner.clone(), principal.actor().clone());
        let (shown, id) = (operation.clone(), operation.id);
        // Once the record is gone the containers must go too, whoever still waits.
        let task = tokio::spawn(async move {
            let removed = inner
                .store
                .ledger
                .delete_by_operation(operation, &actor)
                .await?;
            inner.running.update(id, |p| p.percent = 50);
            tokio::spawn(async move {
                for endpoint in endpoints {
                    inner.forget(endpoint).await;
                }
                drop(turn);
                inner.running.remove(id);
            });
            Ok(removed)
        });
        let removed = task.await.map_err(|e| broken(&e))??;
        Ok(removed.then_some((shown, there.location)))
    }

    /// Makes a copy of a service's definition whose secrets are sealed for another region.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `NotFound.WebServiceNotFound`;
    /// `BadArgument.InvalidQueryParameter` without a region; `Conflict` while another change is
    /// under way; `InternalError.FailedStoringWebService`.
    pub async fn copy_for_region(
        &self,
        principal: &Principal,
        name: &ResourceName,
        region: &str,
    ) -> Result<Accepted, Fault> {
        let key = name.key();
        self.inner.entry(principal, Role::Manage, &key)?;
        if region.trim().is_empty() {
            return Err(faults::bad_argument::invalid_query_parameter(
                "region",
                "It names the region that the copy is for.",
            ));
        }
        let turn = self.inner.in_progress.begin(key.clone())?;
        let entry = self.inner.entry(principal, Role::Manage, &key)?;
        let operation = Operation::begin(
            OperationKind::Regional,
            entry.service_name.clone(),
            entry.service,
            entry.workspace,
        );
        let ledger = &self.inner.store.ledger;
        let revision = ledger.revision(entry.revision).await?;
        let mut copy = revision.definition.clone();
        if credentials::may_hide(&copy)
            && let Some(secrets) = ledger.secrets(entry.revision).await?
        {
            let mut properties = serde_json::from_str(&copy).map_err(|e| {
                faults::internal_error::web_service_package_invalid("it is not a JSON object")
                    .caused_by(&e)
            })?;
            let sealed_for = Region::of(&self.inner.store.sealer, region);
            credentials::fill(&mut properties, &secrets, Some(&sealed_for));
            copy = Value::from(properties).to_string();
        }
        ledger
            .put_regional(
                operation.clone(),
                names::letters(region).into(),
                copy,
                principal.actor(),
            )
            .await?;
        drop(turn);
        let service = ServiceView::new(entry, &revision.definition)?;
        Ok(Accepted {
            operation,
            resource: Resource::of_service(service),
        })
    }

    /// How far an operation of a subscription is.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope; `NotFound` for one that
    /// there is not, or that ended more than a day ago; `InternalError.UnknownError` when the
    /// ledger fails.
    pub async fn operation(
        &self,
        principal: &Principal,
        subscription: &str,
        id: &str,
    ) -> Result<OperationView, Fault> {
        let subscription = store::Subscription::of(subscription);
        let found = match Id::parse(id) {
            Some(id) => self.inner.store.ledger.operation(id).await?,
            None => None,
        };
        let found = found.filter(|o| o.name.key().subscription == subscription);
        let Some(mut operation) = found else {
            principal.permit(Role::Read, &Target::subscription(subscription))?;
            return Err(Fault::bare(Class::NotFound).because("no such operation"));
        };
        let target = Target::service_to_be(
            &operation.name.key(),
            operation.workspace,
            operation.service,
        );
        principal.permit(Role::Read, &target)?;
        let percent = match self.inner.running.of(operation.id) {
            Some(Progress {
                failed: Some(fault),
                ..
            }) => {
                operation.ended = Some(Timestamp::now());
                operation.state = OperationState::Failed(fault);
                100
            }
            // Also when the ledger has it: until the next change can begin it is not over.
            Some(progress) => {
                operation.ended = None;
                operation.state = OperationState::Provisioning;
                progress.percent
            }
            None => 100,
        };
        Ok(OperationView { operation, percent })
    }

    /// What there is under a name: the service, or what is to become one, or never did.
    async fn existing(
        &self,
        principal: &Principal,
        role: Role,
        name: &ResourceName,
    ) -> Result<Option<Existing>, Fault> {
        let key = name.key();
        let ledger = &self.inner.store.ledger;
        let draft = ledger.draft(key.clone()).await?;
        let entry = ledger.directory().by_name(&key).cloned();
        let (found, target) = match (entry, draft) {
            (Some(entry), _) => (
                Some(Existing {
                    name: entry.service_name.clone(),
                    service: entry.service,
                    workspace: entry.workspace,
                    location: entry.location.clone(),
                }),
                Target::service(&entry),
            ),
            (None, Some(draft)) => {
                let target = Target::service_to_be(&key, draft.workspace, draft.service);
                let existing = Existing {
                    name: draft.name,
                    service: draft.service,
                    workspace: draft.workspace,
                    location: draft.location,
                };
                (Some(existing), target)
            }
            (None, None) => (None, Target::resource(&key)),
        };
        principal.permit(role, &target)?;
        Ok(found)
    }
}

struct Existing {
    name: ResourceName,
    service: Id,
    workspace: Id,
    location: String,
}

impl Inner {
    /// Says about an order what can be said at once. A definition that lies elsewhere is checked
    /// when it was fetched.
    fn accept(&self, order: Order) -> Result<(Order, Option<Checked>, Id), Fault> {
        if !payload::is_elsewhere(&order.body) {
            let checked = self.check(&order)?;
            let workspace = checked.workspace;
            return Ok((order, Some(checked), workspace));
        }
        payload::locate(self, &order.body)?;
        let asked = order
            .body
            .properties()
            .and_then(|p| member(object(p, "machineLearningWorkspace")?, "id")?.as_str());
        let workspace = self.workspace(&order, asked)?;
        self.check_location(&order)?;
        Ok((order, None, workspace))
    }

    /// Writes the operation with the draft of what it is to make, and lets it go on.
    async fn begin(
        self: Arc<Self>,
        turn: Turn,
        mut order: Order,
        checked: Option<Checked>,
        workspace: Id,
    ) -> Result<Accepted, Fault> {
        let before = order.before.as_deref();
        let kind = match before {
            None => OperationKind::Create,
            Some(_) => OperationKind::Update,
        };
        let name = before.map_or_else(|| order.name.clone(), |e| e.service_name.clone());
        let operation = Operation::begin(kind, name.clone(), order.ids.service, workspace);
        order.operation = Some(operation.id);
        let mut properties = order.body.properties().cloned().unwrap_or_default();
        let region = Region::of(&self.store.sealer, &order.body.location);
        drop(definition::take_all(&mut properties, &region));
        let draft = Draft {
            name,
            operation: operation.id,
            service: order.ids.service,
            workspace,
            location: before.map_or_else(|| order.body.location.clone(), |e| e.location.clone()),
            tags: Value::from(order.body.tags.clone()).to_string(),
            definition: Value::from(properties).to_string(),
            failed: false,
            created: before.map_or(operation.started, |e| e.created),
            modified: operation.started,
        };
        self.store
            .ledger
            .begin_operation(operation.clone(), Some(draft.clone()))
            .await?;
        self.running.update(operation.id, |_| ());
        tokio::spawn(self.clone().finish(turn, order, checked, operation.id));
        Ok(Accepted {
            operation,
            resource: Resource::of_draft(draft),
        })
    }

    /// Carries an order out and says what it came to.
    async fn finish(self: Arc<Self>, turn: Turn, order: Order, checked: Option<Checked>, id: Id) {
        let actor = order.principal.actor().clone();
        let action = match order.before {
            None => "create".to_owned(),
            Some(_) => "update".to_owned(),
        };
        let subject = format!("service {}", order.ids.service);
        let inner = self.clone();
        // A task of its own, so that one that panics is a failure too.
        let work = tokio::spawn(async move {
            let progress = |percent| inner.running.update(id, |p| p.percent = percent);
            inner.carry_out(order, checked, progress).await
        });
        let result = work.await.unwrap_or_else(|e| Err(broken(&e)));
        let told = match result {
            Ok(_) => Ok(()),
            Err(fault) => {
                self.telemetry.observe(&fault, Surface::Manage);
                self.store.ledger.audit_failure(FailedChange {
                    actor,
                    action,
                    subject,
                    result: fault.name(),
                });
                let told = self.store.ledger.fail_operation(id, &fault).await;
                told.map_err(|unwritten| (fault, unwritten))
            }
        };
        drop(turn);
        match told {
            Ok(()) => self.running.remove(id),
            Err((fault, unwritten)) => {
                // It fails at the next start too; until then it is known here.
                self.telemetry.observe(&unwritten, Surface::Manage);
                self.running.update(id, |p| p.failed = Some(fault));
            }
        }
    }

    /// Reads what a PATCH makes of a service. May wait for the disk.
    fn order_patch(
        &self,
        name: ResourceName,
        principal: &Principal,
        patch: Patch,
    ) -> Result<(Turn, Order, Option<Checked>, Id, Patch), Fault> {
        let mut known = Vec::new();
        let (turn, mut order) = self.order(name, principal, |before| {
            let before = before.ok_or_else(faults::not_found::web_service_not_found)?;
            let revision = self.store.ledger.revision_blocking(before.revision)?;
            known = patch.known(&revision);
            patch.merged(before, &revision.definition)
        })?;
        order.known = known;
        let (order, checked, workspace) = self.accept(order)?;
        Ok((turn, order, checked, workspace, patch))
    }

    async fn begin_patch(
        self: Arc<Self>,
        turn: Turn,
        mut order: Order,
        checked: Option<Checked>,
        workspace: Id,
        patch: Patch,
    ) -> Result<Accepted, Fault> {
        let Some(before) = order.before.clone() else {
            return Err(faults::not_found::web_service_not_found());
        };
        let ledger = &self.store.ledger;
        if let (Some(checked), false) = (&checked, patch.needs_revision()) {
            let mut properties = order.body.properties().cloned().unwrap_or_default();
            let region = Region::of(&self.store.sealer, &order.body.location);
            let secrets = definition::take_all(&mut properties, &region);
            let definition = Value::from(properties).to_string();
            let operation = Operation::begin(
                OperationKind::Update,
                before.service_name.clone(),
                before.service,
                before.workspace,
            );
            let write = PatchWrite {
                service: before.service,
                endpoint: before.endpoint,
                revision: before.revision,
                expected: before.version,
                tags: Value::from(order.body.tags.clone()).to_string(),
                read_only: checked.read_only,
                max_concurrent_calls: patch
                    .has("realtimeConfiguration")
                    .then_some(checked.max_concurrent_calls),
                diagnostics: patch.has("diagnostics"),
                keys: patch.keys,
                definition: definition.clone(),
                secrets,
            };
            let actor = order.principal.actor();
            let entry = ledger
                .patch_service(operation.clone(), write, actor)
                .await?;
            drop(turn);
            return Ok(Accepted {
                operation,
                resource: Resource::of_service(ServiceView::new(entry, &definition)?),
            });
        }
        if patch.keys.iter().any(Option::is_some) {
            // One alone leaves the other as it is.
            let [primary, secondary] = ledger.keys(before.endpoint).await?;
            let [first, second] = patch.keys;
            let keys = [first.unwrap_or(primary), second.unwrap_or(secondary)];
            order.keys = Some(keys);
        }
        self.begin(turn, order, checked, workspace).await
    }
}

impl Accepted {
    /// Whether the operation makes the service.
    pub fn creates(&self) -> bool {
        self.operation.kind == OperationKind::Create
    }

    /// Whether there is something left to wait for.
    pub fn goes_on(&self) -> bool {
        self.resource.state == ProvisioningState::Provisioning
    }
}
