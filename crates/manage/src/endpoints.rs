//! The endpoints of a web service beside the one that every service has.
//!
//! An endpoint is a copy of the revision that the default endpoint had when it was made. A deploy
//! of the service changes the default endpoint alone; the others go on as they are until each is
//! refreshed.

use std::sync::Arc;

use faults::{Class, Fault, bad_argument, extensions};
use jiff::Timestamp;
use store::{
    DiagnosticsLevel, EndpointSettings, Entry, Id, LOW_CONCURRENCY, NewEndpoint, ResourceName,
    Role, ThrottleLevel, WhichKey,
};
use telemetry::NoteLevel;

use crate::access::{Principal, Target};
use crate::classic::ServicePath;
use crate::deploy::{broken, conflict};
use crate::groups;
use crate::json::{member, read_object};
use crate::members::Members;
use crate::resources::{ResourceUpdate, ResourceView};
use crate::{Inner, Manager, Throttles, resources, source};

/// The longest name of an endpoint, in characters.
const LONGEST_NAME: usize = 24;
/// The longest description, in bytes.
const LONGEST_DESCRIPTION: usize = 16 * 1024;

/// An endpoint as the classic API shows it.
#[derive(Debug, Clone)]
pub struct EndpointView {
    /// The record of the endpoint and its service.
    pub entry: Arc<Entry>,
    /// Primary and secondary key, for those who may manage the endpoint.
    pub keys: Option<[String; 2]>,
    /// What is recorded of its calls.
    pub diagnostics: DiagnosticsLevel,
    /// Whether sample rows appear in its documents.
    pub sample_data: bool,
    /// What can be replaced in it.
    pub resources: Vec<ResourceView>,
}

/// What is to be different about an endpoint; what is absent stays, or gets its default.
#[derive(Debug, Clone, Default)]
pub struct EndpointChange {
    description: Option<String>,
    throttle_level: Option<ThrottleLevel>,
    max_concurrent_calls: Option<i64>,
    prevent_update: Option<bool>,
    diagnostics: Option<DiagnosticsLevel>,
    /// The inner `None` is never.
    diagnostics_expiry: Option<Option<Timestamp>>,
    sample_data: Option<bool>,
    pub(crate) resources: Vec<ResourceUpdate>,
}

impl EndpointChange {
    /// Reads the body of a PUT or PATCH of an endpoint. Names count in any case; booleans and
    /// numbers may be strings; what is null is absent. An empty object says nothing, which
    /// `content` refuses.
    ///
    /// # Errors
    /// `BadArgument.RequestBodyInvalid` for a body that is no JSON object, and for a member of the
    /// wrong type, which is the target; `BadArgument.RequestIsEmpty`; `BadArgument.BadParameterValue`
    /// for a `ThrottleLevel` or `DiagnosticsTraceLevel` that there is not, for a `WebServiceId` or
    /// `EndpointName` other than the path's, and for too long a description;
    /// `BadArgument.ExpiryTimeInThePast`.
    fn parse(body: &[u8], content: bool, service: Id, name: &str) -> Result<EndpointChange, Fault> {
        let object = &read_object(body)?;
        if object.is_empty() && content {
            return Err(bad_argument::request_is_empty());
        }
        let members = Members(object);
        if let Some(id) = members.text("WebServiceId")?.filter(|id| !id.is_empty())
            && Id::parse(id) != Some(service)
        {
            return Err(bad_argument::bad_parameter_value().at("WebServiceId"));
        }
        for key in ["EndpointName", "Name"] {
            if let Some(given) = members.text(key)?.filter(|given| !given.is_empty())
                && !given.eq_ignore_ascii_case(name)
            {
                return Err(bad_argument::bad_parameter_value().at(key));
            }
        }
        let description = members.text("Description")?;
        if description.is_some_and(|text| text.len() > LONGEST_DESCRIPTION) {
            return Err(bad_argument::bad_parameter_value().at("Description"));
        }
        Ok(EndpointChange {
            description: description.map(str::to_owned),
            throttle_level: members.one_of("ThrottleLevel", ThrottleLevel::parse)?,
            max_concurrent_calls: members.whole_number("MaxConcurrentCalls")?,
            prevent_update: members.boolean("PreventUpdate")?,
            diagnostics: members.one_of("DiagnosticsTraceLevel", DiagnosticsLevel::parse)?,
            diagnostics_expiry: members.expiry("DiagnosticsExpiryTime")?,
            sample_data: members.boolean("SampleDataEnabled")?,
            resources: resources::updates(member(object, "Resources"))?,
        })
    }

    /// Whether it changes more than resources.
    fn is_of_settings(&self) -> bool {
        self.description.is_some()
            || self.is_of_throttle()
            || self.prevent_update.is_some()
            || self.diagnostics.is_some()
            || self.diagnostics_expiry.is_some()
            || self.sample_data.is_some()
    }

    /// Whether it says how many calls the endpoint takes.
    fn is_of_throttle(&self) -> bool {
        self.throttle_level.is_some() || self.max_concurrent_calls.is_some()
    }

    /// The settings and the throttle that come of it.
    ///
    /// # Errors
    /// `BadArgument.WebServiceConcurrentRequestRequirementInvalid` for a number of calls where the
    /// throttle level fixes it; `BadArgument.BadParameterValue` below 1;
    /// `BadArgument.WebServiceTooManyConcurrentRequestRequirement` above the most.
    fn over(
        &self,
        before: &EndpointSettings,
        calls: Option<u32>,
        throttles: &Throttles,
    ) -> Result<(EndpointSettings, u32), Fault> {
        let level = self.throttle_level.unwrap_or(before.throttle_level);
        let calls = match (level, self.max_concurrent_calls) {
            (ThrottleLevel::Low, None) => LOW_CONCURRENCY,
            (ThrottleLevel::Low, Some(asked)) if asked == i64::from(LOW_CONCURRENCY) => {
                LOW_CONCURRENCY
            }
            (ThrottleLevel::Low, Some(_)) => {
                return Err(
                    bad_argument::web_service_concurrent_request_requirement_invalid(level.name())
                        .at("MaxConcurrentCalls"),
                );
            }
            (ThrottleLevel::High, None) => calls
                .filter(|_| before.throttle_level == ThrottleLevel::High)
                .unwrap_or(throttles.usual.min(throttles.most)),
            (ThrottleLevel::High, Some(asked)) => throttles.of_endpoint(asked)?,
        };
        let settings = EndpointSettings {
            description: match &self.description {
                Some(text) => text.as_str().into(),
                None => before.description.clone(),
            },
            throttle_level: level,
            diagnostics: self.diagnostics.or(before.diagnostics),
            diagnostics_expiry: self.diagnostics_expiry.unwrap_or(before.diagnostics_expiry),
            prevent_update: self.prevent_update.unwrap_or(before.prevent_update),
            sample_data: self.sample_data.unwrap_or(before.sample_data),
        };
        Ok((settings, calls))
    }
}

impl Throttles {
    /// The throttle that is asked for an endpoint, where one call at a time is enough.
    fn of_endpoint(&self, asked: i64) -> Result<u32, Fault> {
        let target = "MaxConcurrentCalls";
        if asked < 1 {
            return Err(bad_argument::bad_parameter_value().at(target));
        }
        u32::try_from(asked)
            .ok()
            .filter(|asked| *asked <= self.most)
            .ok_or_else(|| {
                bad_argument::web_service_too_many_concurrent_request_requirement(
                    self.most.to_string(),
                )
                .at(target)
            })
    }
}

impl Manager {
    /// The endpoints of a web service that the principal sees, by name.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WorkspaceNotFound`, `.WebServiceNotFound`, `.WebServiceIdNotFoundInWorkspace`;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn endpoints(
        &self,
        principal: &Principal,
        path: &ServicePath,
    ) -> Result<Vec<EndpointView>, Fault> {
        let service = self.inner.service_at(principal, Role::Read, path)?.service;
        let mut entries: Vec<Arc<Entry>> = {
            let directory = self.inner.store.ledger.directory();
            directory.endpoints_of(&service).to_vec()
        };
        entries.sort_by(|a, b| a.endpoint_name.cmp(&b.endpoint_name));
        let mut views = Vec::with_capacity(entries.len());
        for entry in entries {
            match self.inner.endpoint_view(principal, entry).await {
                Ok(view) => views.push(view),
                // It went, with or without its service, while the list was made.
                Err(fault) if fault.class() == Class::NotFound => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(views)
    }

    /// An endpoint of a web service, by its name in any case.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WorkspaceNotFound`, `.WebServiceNotFound`, `.WebServiceIdNotFoundInWorkspace`;
    /// `NotFound` for an endpoint that there is not; `InternalError.UnknownError` when the ledger
    /// fails.
    pub async fn endpoint(
        &self,
        principal: &Principal,
        path: &ServicePath,
        name: &str,
    ) -> Result<EndpointView, Fault> {
        let entry = self.inner.endpoint_at(principal, Role::Read, path, name)?;
        self.inner.endpoint_view(principal, entry).await
    }

    /// Makes the endpoint of that name, or changes the settings of an existing one; whether it was
    /// made. A new one is a copy of the default endpoint's revision, with keys of its own; it is
    /// loaded before it is stored, so that the first call finds it ready.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope; the look-up's
    /// `NotFound`; what is wrong with the body, and `BadArgument.BadParameterValue` at
    /// `EndpointName` for a name that is not 1 to 24 lower-case letters and digits; for
    /// `Resources`, those of [`Manager::patch_endpoint`]; `Conflict` while another change of the
    /// service is under way and for a read-only service; what loading it fails with;
    /// `InternalError.FailedStoringWebService`.
    pub async fn put_endpoint(
        &self,
        principal: &Principal,
        path: &ServicePath,
        name: &str,
        body: &[u8],
        own_url: &str,
    ) -> Result<(EndpointView, bool), Fault> {
        let default = self.inner.service_at(principal, Role::Manage, path)?;
        check_name(name)?;
        let change = EndpointChange::parse(body, false, default.service, name)?;
        if self.inner.endpoint_named(default.service, name).is_some() {
            let view = self
                .change_endpoint(principal, path, name, change, own_url)
                .await?;
            return Ok((view, false));
        }
        if !change.resources.is_empty() {
            // There is no endpoint yet that has any.
            return Err(Fault::bare(Class::NotFound).because("resources of a new endpoint"));
        }
        let options = self.inner.options.load_full();
        let made_before = EndpointSettings {
            // A copy records nothing unless it is asked to, whatever the package says.
            diagnostics: Some(DiagnosticsLevel::None),
            ..EndpointSettings::default()
        };
        let (settings, calls) = change.over(&made_before, None, &options.throttles)?;
        let turn = self.inner.in_progress.begin(default.service_name.key())?;
        // Looked up again: before the turn it may have been changed or removed.
        let default = self.inner.service_at(principal, Role::Manage, path)?;
        if default.read_only {
            return Err(conflict("the service is read-only"));
        }
        let new = NewEndpoint {
            endpoint: Id::random(),
            service: default.service,
            expected: default.version,
            name: name.to_owned(),
            settings,
            max_concurrent_calls: calls,
            revision: default.revision,
        };
        let (inner, actor) = (self.inner.clone(), principal.actor().clone());
        let task = tokio::spawn(async move {
            let endpoint = new.endpoint;
            let label = format!("{}/{}", default.service_name.name, new.name);
            let made = async {
                let revision = inner.store.ledger.revision(new.revision).await?;
                let (store, modules) = (&inner.store, &options.modules);
                let files = source::stored_files(store, &revision, options.pool, modules)?;
                let prepared = inner.host.prepare(endpoint.0, &label, files).await?;
                let entry = inner.store.ledger.create_endpoint(new, &actor).await?;
                inner.host.activate(prepared);
                Ok(entry)
            }
            .await;
            match &made {
                Ok(_) => {
                    let text = "the endpoint was made".to_owned();
                    inner.telemetry.note(endpoint.0, NoteLevel::Info, text);
                }
                Err(_) => inner.forget(endpoint).await,
            }
            drop(turn);
            made
        });
        let entry = task.await.map_err(|e| broken(&e))??;
        Ok((self.inner.endpoint_view(principal, entry).await?, true))
    }

    /// Changes an endpoint: its settings, and the resources that are its own (the retraining
    /// flow). Each resource is fetched, checked and stored, and the endpoint moves to a revision
    /// with all of them once that is loaded; whatever fails, it goes on as it was. Calls under way
    /// are answered by the old revision.
    ///
    /// `own_url` is how this installation is reached: a location below it is read without a call.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope (an endpoint's own key is
    /// good for its resources); the look-up's `NotFound`; what is wrong with the body;
    /// `InvalidOperation.UnauthorizedRequest` for resources of the default endpoint; `NotFound`
    /// for a resource whose name the package has not; the rows of a blob reference
    /// (`BadArgument.MissingInputBlobInformation`, `.InvalidBlob`,
    /// `.InputBlobRelativeLocationInvalid`, `.ContainerIsEmpty`, `.ContainerSegmentInvalid`,
    /// `.InvalidBlobExtension`, `.BlobNotFound`), `InternalError.ResourceDownload`; `Conflict`
    /// while another change of the service is under way and for a read-only service; what loading
    /// it fails with; `InternalError.UpdateWebServiceResourceFailed` when a resource or the
    /// revision cannot be stored, `.FailedStoringWebService` when settings cannot.
    pub async fn patch_endpoint(
        &self,
        principal: &Principal,
        path: &ServicePath,
        name: &str,
        body: &[u8],
        own_url: &str,
    ) -> Result<EndpointView, Fault> {
        let entry = self
            .inner
            .endpoint_at(principal, Role::Manage, path, name)?;
        let change = EndpointChange::parse(body, true, entry.service, name)?;
        self.change_endpoint(principal, path, name, change, own_url)
            .await
    }

    /// Changes an existing endpoint.
    async fn change_endpoint(
        &self,
        principal: &Principal,
        path: &ServicePath,
        name: &str,
        change: EndpointChange,
        own_url: &str,
    ) -> Result<EndpointView, Fault> {
        let inner = &self.inner;
        let entry = inner.endpoint_at(principal, Role::Manage, path, name)?;
        if change.is_of_settings() {
            // The key of an endpoint, which those who score have, is good for its resources alone.
            principal.permit(Role::Manage, &Target::service(&entry))?;
        }
        if !change.resources.is_empty() && entry.is_default() {
            return Err(extensions::unauthorized_request());
        }
        if !change.is_of_settings() && change.resources.is_empty() {
            return inner.endpoint_view(principal, entry).await;
        }
        let turn = inner.in_progress.begin(entry.service_name.key())?;
        let entry = inner.endpoint_at(principal, Role::Manage, path, name)?;
        if entry.read_only {
            return Err(conflict("the service is read-only"));
        }
        if change.is_of_throttle() && entry.is_default() {
            let slot = inner.store.ledger.slot_of(entry.service).await?;
            groups::check_concurrency_is_free(slot)?;
        }
        let options = inner.options.load_full();
        let calls = Some(entry.max_concurrent_calls);
        let (settings, calls) = change.over(&entry.settings, calls, &options.throttles)?;
        let actor = principal.actor().clone();
        let (task_inner, own_url) = (inner.clone(), own_url.to_owned());
        let task = tokio::spawn(async move {
            let inner = task_inner;
            let changed = if change.resources.is_empty() {
                let ledger = &inner.store.ledger;
                ledger.set_endpoint(&entry, settings, calls, &actor).await
            } else {
                let settings = change.is_of_settings().then_some((settings, calls));
                let updates = change.resources;
                let updated = inner
                    .update_resources(&entry, updates, settings, &own_url, &actor)
                    .await;
                if let Err(fault) = &updated {
                    inner.note_failure(entry.endpoint, "an update of resources failed", fault);
                }
                updated
            };
            drop(turn);
            changed
        });
        let entry = task.await.map_err(|e| broken(&e))??;
        inner.endpoint_view(principal, entry).await
    }

    /// The plain keys of an endpoint, given by its service's name and its own: primary, secondary.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WebServiceNotFound`; `NotFound` for an endpoint that there is not;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn endpoint_keys(
        &self,
        principal: &Principal,
        service: &ResourceName,
        endpoint: &str,
    ) -> Result<[String; 2], Fault> {
        let entry = self.inner.entry_named(principal, service, endpoint)?;
        self.inner.store.ledger.keys(entry.endpoint).await
    }

    /// Makes one key of an endpoint anew, as [`Manager::regenerate_key`] does for the default one.
    ///
    /// # Errors
    /// As for [`Manager::endpoint_keys`]; `Conflict` for a read-only service.
    pub async fn regenerate_endpoint_key(
        &self,
        principal: &Principal,
        service: &ResourceName,
        endpoint: &str,
        which: WhichKey,
    ) -> Result<[String; 2], Fault> {
        let entry = self.inner.entry_named(principal, service, endpoint)?;
        self.inner
            .regenerate(entry.endpoint, which, principal.actor())
            .await
    }

    /// Removes an endpoint; calls under way end in order. The default endpoint goes last, and the
    /// service with it.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope; the look-up's
    /// `NotFound`; `InvalidOperation.UnauthorizedRequest` for the default endpoint while there are
    /// others; `Conflict` while another change of the service is under way and, for other than the
    /// default endpoint, when it is read-only; `InternalError.DeleteWebServiceResourceFailed`,
    /// which leaves everything as it was.
    pub async fn delete_endpoint(
        &self,
        principal: &Principal,
        path: &ServicePath,
        name: &str,
    ) -> Result<(), Fault> {
        let inner = &self.inner;
        let target = |entry: &Entry| principal.permit(Role::Manage, &Target::service(entry));
        let entry = inner.endpoint_at(principal, Role::Manage, path, name)?;
        target(&entry)?;
        let siblings = |entry: &Entry| {
            let directory = inner.store.ledger.directory();
            directory.endpoints_of(&entry.service).len()
        };
        if entry.is_default() {
            if siblings(&entry) > 1 {
                return Err(extensions::unauthorized_request());
            }
            return self.delete(principal, &entry.service_name).await.map(drop);
        }
        let turn = inner.in_progress.begin(entry.service_name.key())?;
        let entry = inner.endpoint_at(principal, Role::Manage, path, name)?;
        target(&entry)?;
        let (task_inner, actor) = (inner.clone(), principal.actor().clone());
        // Once the record is gone the containers must go too, whoever still waits.
        let task = tokio::spawn(async move {
            let inner = task_inner;
            let (service, endpoint) = (entry.service, entry.endpoint);
            inner
                .store
                .ledger
                .delete_endpoint(service, endpoint, &actor)
                .await?;
            inner.forget(endpoint).await;
            drop(turn);
            Ok(())
        });
        task.await.map_err(|e| broken(&e))?
    }
}

impl Inner {
    /// An endpoint by its service's name and its own, for somebody who may manage the service.
    fn entry_named(
        &self,
        principal: &Principal,
        service: &ResourceName,
        endpoint: &str,
    ) -> Result<Arc<Entry>, Fault> {
        let default = self.entry(principal, Role::Manage, &service.key())?;
        self.endpoint_named(default.service, endpoint)
            .ok_or_else(|| {
                Fault::bare(Class::NotFound).because("the service has no endpoint of that name")
            })
    }

    pub(crate) async fn endpoint_view(
        &self,
        principal: &Principal,
        entry: Arc<Entry>,
    ) -> Result<EndpointView, Fault> {
        let ledger = &self.store.ledger;
        let keys = match principal.permit(Role::Manage, &Target::endpoint(&entry)) {
            Ok(()) => Some(ledger.keys(entry.endpoint).await?),
            Err(_) => None,
        };
        let revision = ledger.revision(entry.revision).await?;
        let own = match entry.base_revision == Some(entry.revision) {
            true => Vec::new(),
            false => ledger.own_resources(entry.endpoint).await?,
        };
        let package = resources::package(&revision.definition)?;
        let of_package = package
            .diagnostics
            .as_ref()
            .and_then(|d| d.level.as_deref())
            .and_then(DiagnosticsLevel::parse);
        Ok(EndpointView {
            keys,
            diagnostics: entry
                .settings
                .diagnostics
                .or(of_package)
                .unwrap_or_default(),
            sample_data: entry.settings.sample_data && package.expose_sample_data,
            resources: resources::shown(&package, &own),
            entry,
        })
    }
}

/// Refuses a name that no endpoint may have.
fn check_name(name: &str) -> Result<(), Fault> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let fits = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(good);
    match fits {
        true => Ok(()),
        false => Err(bad_argument::bad_parameter_value()
            .at("EndpointName")
            .because("an endpoint's name is 1 to 24 lower-case letters and digits")),
    }
}
