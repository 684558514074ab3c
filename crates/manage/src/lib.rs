//! Workspaces, services, endpoints, packages, keys and tokens.
//!
//! [`Manager`] does what the management APIs ask for. It knows no HTTP: the edge reads requests,
//! calls it, and shapes the replies from [`ServiceView`].

mod access;
mod classic;
mod code;
mod credentials;
mod definition;
mod deploy;
mod diagnostics;
mod download;
mod endpoints;
mod export;
mod groups;
mod history;
mod identity;
mod in_progress;
mod json;
mod location;
mod members;
mod module_ids;
mod names;
mod nodes;
mod operations;
mod patch;
mod payload;
mod plans;
mod reference;
mod resource;
mod resources;
mod secrets;
mod shapes;
mod sign_in;
mod source;
mod tokens;
mod usage;
mod view;
mod workspaces;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use containers::{Host, PoolLimits};
use faults::Fault;
use futures_util::{Stream, StreamExt as _};
use graph::{Package, Registry};
use outbound::{Cache, Outbound};
use store::{
    Actor, Entry, NameKey, ResourceName, RevisionSummary, Sha256, Store, Stored, Subscription,
    Swept, Upload, WhichKey, Within, folded,
};
use telemetry::{NoteLevel, Telemetry};

pub use access::{Principal, Target};
pub use classic::{ClassicService, ServicePath, WorkspacePath};
pub use definition::ApiVersion;
pub use deploy::Deployed;
pub use diagnostics::DiagnosticsPlace;
pub use endpoints::{EndpointChange, EndpointView};
pub use groups::{GroupPath, GroupView, ModuleView, PackageView, PublishedView, status_name};
pub use identity::{Grant, IdentityProvider};
pub use module_ids::ModuleIds;
pub use nodes::{ContainerView, NodeState, NodeView};
pub use operations::{Accepted, OperationView};
pub use plans::{
    AssociationView, PLAN_SKUS, PlanDay, PlanPage, PlanSku, PlanVersion, PlanView, Quantities,
    REFILL_DAYS,
};
pub use resource::{ProvisioningState, Resource, ResourcePage};
pub use resources::{Refreshed, ResourceView};
pub use source::StoredRevisions;
pub use store::{Role, Scope};
pub use tokens::TokenRequest;
pub use view::ServiceView;
pub use workspaces::{WorkspacePage, WorkspaceVersion};

use deploy::{broken, conflict};
use in_progress::InProgress;

/// The installation's rules for services.
#[derive(Debug, Clone)]
pub struct Options {
    /// The rules for `maxConcurrentCalls`.
    pub throttles: Throttles,
    /// What each service may take of the machine.
    pub pool: PoolLimits,
    /// The largest blob that may be uploaded, in bytes.
    pub blob_limit: u64,
    /// What packages' resources are fetched by.
    pub outbound: Outbound,
    /// What was fetched before.
    pub cache: Option<Arc<Cache>>,
    /// The operator's own ids of built-in modules.
    pub modules: Arc<ModuleIds>,
    /// Whose tokens sign in beside our own.
    pub identity: Option<Arc<IdentityProvider>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            throttles: Throttles::default(),
            pool: PoolLimits::default(),
            blob_limit: 4 << 30,
            outbound: Outbound::closed(),
            cache: None,
            modules: Arc::default(),
            identity: None,
        }
    }
}

/// The rules for `maxConcurrentCalls`.
#[derive(Debug, Clone, Copy)]
pub struct Throttles {
    /// The least that may be asked for.
    pub least: u32,
    /// What a package that asks for nothing gets.
    pub usual: u32,
    /// The most that may be asked for.
    pub most: u32,
}

impl Default for Throttles {
    fn default() -> Self {
        Throttles {
            least: 4,
            usual: 20,
            most: 200,
        }
    }
}

/// Manages services. Clones share everything.
#[derive(Clone)]
pub struct Manager {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<Store>,
    host: Host,
    registry: Arc<Registry>,
    telemetry: Telemetry,
    /// Replaced whole when the settings are read again.
    options: ArcSwap<Options>,
    in_progress: Arc<InProgress>,
    running: operations::Running,
    started: Instant,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// The services, by resource group and name.
    pub services: Vec<ServiceView>,
    /// What to ask the next page with, where there is one.
    pub next: Option<String>,
}

impl Manager {
    /// Puts a manager together. `registry` is what packages are validated against; it must be the
    /// one that containers run with.
    pub fn new(
        store: Arc<Store>,
        host: Host,
        registry: Arc<Registry>,
        telemetry: Telemetry,
        options: Options,
    ) -> Manager {
        Manager {
            inner: Arc::new(Inner {
                store,
                host,
                registry,
                telemetry,
                options: ArcSwap::from_pointee(options),
                in_progress: Arc::default(),
                running: operations::Running::default(),
                started: Instant::now(),
            }),
        }
    }

    /// Lets these rules hold from now on; what is under way ends by those that it began with.
    pub fn set_options(&self, options: Options) {
        let before = self.inner.options.load();
        if let (Some(new), Some(before)) = (&options.identity, &before.identity) {
            new.follow(before);
        }
        self.inner.options.store(Arc::new(options));
    }

    /// Begins the upload of a blob that packages name as `umpire:sha256:{sha256}`.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` for whoever may manage nothing;
    /// `BadArgument.RequestBodyInvalid` at `sha256` for text that is no SHA-256;
    /// `InternalError.FailedStoringWebService` when the disk fails.
    pub fn begin_blob(&self, principal: &Principal, sha256: &str) -> Result<Upload, Fault> {
        principal.permit_anywhere(Role::Manage)?;
        let sha256 = blob_name(sha256)?;
        self.inner
            .store
            .blobs
            .begin(sha256, self.inner.options.load().blob_limit)
    }

    /// Ends an upload that [`Manager::begin_blob`] began and that has all its bytes.
    ///
    /// # Errors
    /// `BadArgument.RequestBodyInvalid` for another hash than announced;
    /// `InternalError.FailedStoringWebService` when the disk is full or fails;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn finish_blob(
        &self,
        principal: &Principal,
        sha256: &str,
        upload: Upload,
    ) -> Result<Stored, Fault> {
        let sha256 = blob_name(sha256)?;
        let stored = upload.finish().await?;
        if stored.created {
            let subject = format!("blob {sha256}");
            let ledger = &self.inner.store.ledger;
            ledger
                .audit_done(principal.actor(), "upload", &subject)
                .await?;
        }
        Ok(stored)
    }

    /// Uploads a blob whole: [`Manager::begin_blob`] and all that follows.
    ///
    /// # Errors
    /// Those of the stream; `BadArgument.RequestBodyInvalid` for more bytes than the limit and for
    /// another hash than announced; `InternalError.FailedStoringWebService` when the disk is full
    /// or fails.
    pub async fn put_blob<S>(
        &self,
        principal: &Principal,
        sha256: &str,
        mut content: S,
    ) -> Result<Stored, Fault>
    where
        S: Stream<Item = Result<Bytes, Fault>> + Unpin,
    {
        let mut upload = self.begin_blob(principal, sha256)?;
        while let Some(chunk) = content.next().await {
            upload.write(&chunk?).await?;
        }
        self.finish_blob(principal, sha256, upload).await
    }

    /// The size of an uploaded blob in bytes; `None` where there is none. One that is there is
    /// kept from the next sweep, so that whoever asked can count on it.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` for whoever may manage nothing;
    /// `BadArgument.RequestBodyInvalid` at `sha256` for text that is no SHA-256;
    /// `InternalError.UnknownError` when the disk fails.
    pub fn blob_size(&self, principal: &Principal, sha256: &str) -> Result<Option<u64>, Fault> {
        principal.permit_anywhere(Role::Manage)?;
        let sha256 = blob_name(sha256)?;
        let blobs = &self.inner.store.blobs;
        match blobs.keep(&sha256)? {
            true => blobs.size(&sha256),
            false => Ok(None),
        }
    }

    /// The service of that name.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WebServiceNotFound`; `InternalError.UnknownError` when the ledger fails.
    pub async fn get(
        &self,
        principal: &Principal,
        name: &ResourceName,
    ) -> Result<ServiceView, Fault> {
        let entry = self.inner.entry(principal, Role::Read, &name.key())?;
        let revision = self.inner.store.ledger.revision(entry.revision).await?;
        ServiceView::new(entry, &revision.definition)
    }

    /// The full name of the service that an operator means by `text`: its name in the default
    /// resource group, else a name that only one service has, else a service's or endpoint's id.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WebServiceNotFound`; `Conflict` when several services have the name.
    pub fn resolve(&self, principal: &Principal, text: &str) -> Result<ResourceName, Fault> {
        let wanted = folded(text);
        let directory = self.inner.store.ledger.directory();
        let sees = |entry: &&Arc<Entry>| principal.sees(&Target::service(entry));
        let named: Vec<&Arc<Entry>> = directory.named(&wanted).iter().filter(sees).collect();
        let in_default = named.iter().find(|entry| {
            folded(&entry.service_name.resource_group) == folded(store::DEFAULT_RESOURCE_GROUP)
        });
        let entry = match (in_default, &named[..]) {
            (Some(entry), _) | (None, [entry]) => Some(*entry),
            (None, []) => store::Id::parse(text)
                .and_then(|id| directory.endpoint(&id))
                .filter(sees),
            (None, _) => return Err(conflict("several services have that name")),
        };
        let Some(entry) = entry else {
            // Only who sees all may know that there is none.
            principal.permit(Role::Read, &Target::installation())?;
            return Err(faults::not_found::web_service_not_found());
        };
        Ok(entry.service_name.clone())
    }

    /// A page of at most `limit` services of a subscription, or of one resource group of it,
    /// after the page that ended with `after`.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `BadArgument.InvalidQueryParameter` for an `after` that no page gave;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn list(
        &self,
        principal: &Principal,
        subscription: &str,
        resource_group: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, Fault> {
        let subscription = Subscription::of(subscription);
        let within = match resource_group {
            Some(group) => Within::ResourceGroup(subscription, folded(group)),
            None => Within::Subscription(subscription),
        };
        self.inner.page(principal, after, limit, within).await
    }

    /// A page of at most `limit` services of the whole installation; see [`Manager::list`].
    ///
    /// # Errors
    /// As for [`Manager::list`].
    pub async fn list_all(
        &self,
        principal: &Principal,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, Fault> {
        self.inner
            .page(principal, after, limit, Within::Installation)
            .await
    }

    /// Removes a service; `false` where there is none. Calls under way end in order; blobs that
    /// nothing else names go with a later sweep.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `Conflict` while another change of the service is under way;
    /// `InternalError.DeleteWebServiceResourceFailed`, which leaves everything as it was.
    pub async fn delete(&self, principal: &Principal, name: &ResourceName) -> Result<bool, Fault> {
        let key = name.key();
        let turn = match self.inner.found(principal, Role::Manage, &key)? {
            Some(_) => self.inner.in_progress.begin(key.clone())?,
            None => return Ok(false),
        };
        // Looked up again: before the turn it may have been removed and made anew elsewhere.
        let Some(entry) = self.inner.found(principal, Role::Manage, &key)? else {
            return Ok(false);
        };
        let endpoints: Vec<store::Id> = {
            let directory = self.inner.store.ledger.directory();
            let all = directory.endpoints_of(&entry.service);
            all.iter().map(|entry| entry.endpoint).collect()
        };
        let (inner, actor) = (self.inner.clone(), principal.actor().clone());
        // Once the record is gone the containers must go too, whoever still waits.
        let task = tokio::spawn(async move {
            let existed = inner
                .store
                .ledger
                .delete_service(entry.service, &actor)
                .await?;
            for endpoint in endpoints {
                inner.forget(endpoint).await;
            }
            drop(turn);
            Ok(existed)
        });
        task.await.map_err(|e| broken(&e))?
    }

    /// The plain keys of the service's default endpoint: primary, secondary.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WebServiceNotFound`; `InternalError.UnknownError` when the ledger fails.
    pub async fn keys(
        &self,
        principal: &Principal,
        name: &ResourceName,
    ) -> Result<[String; 2], Fault> {
        let entry = self.inner.entry(principal, Role::Manage, &name.key())?;
        self.inner.store.ledger.keys(entry.endpoint).await
    }

    /// Makes one of the two keys anew; the old one opens nothing any more when this answers, with
    /// both keys. A deploy under way is not waited for; if it brings keys, it ends in a conflict.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WebServiceNotFound`; `Conflict` for a read-only service;
    /// `InternalError.UnknownError` when the ledger fails.
    pub async fn regenerate_key(
        &self,
        principal: &Principal,
        name: &ResourceName,
        which: WhichKey,
    ) -> Result<[String; 2], Fault> {
        let entry = self.inner.entry(principal, Role::Manage, &name.key())?;
        self.inner
            .regenerate(entry.endpoint, which, principal.actor())
            .await
    }

    /// The revisions of a service that are kept, newest first.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WebServiceNotFound`; `InternalError.UnknownError` when the ledger fails.
    pub async fn revisions(
        &self,
        principal: &Principal,
        name: &ResourceName,
    ) -> Result<Vec<RevisionSummary>, Fault> {
        let entry = self.inner.entry(principal, Role::Read, &name.key())?;
        self.inner.store.ledger.revisions(entry.service).await
    }

    /// Lets an earlier revision answer calls again: the one of number `to`, or the one before the
    /// present one. It is loaded before calls move to it; a rollback that fails changes nothing.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized` beyond role or scope;
    /// `NotFound.WebServiceNotFound`; `NotFound` for a revision that is not kept; `Conflict` while
    /// another change of the service is under way, and for a read-only service; what loading the
    /// revision fails with; `InternalError.FailedStoringWebService`.
    pub async fn rollback(
        &self,
        principal: &Principal,
        name: &ResourceName,
        to: Option<u64>,
    ) -> Result<ServiceView, Fault> {
        let key = name.key();
        self.inner.entry(principal, Role::Manage, &key)?;
        let turn = self.inner.in_progress.begin(key.clone())?;
        // Looked up again: before the turn it may have been removed and made anew elsewhere.
        let entry = self.inner.entry(principal, Role::Manage, &key)?;
        if entry.read_only {
            return Err(conflict("the service is read-only"));
        }
        let kept = self.inner.store.ledger.revisions(entry.service).await?;
        let target = kept
            .into_iter()
            .find(|revision| match to {
                Some(number) => revision.number == number,
                None => revision.number < entry.revision_number,
            })
            .ok_or_else(|| {
                Fault::bare(faults::Class::NotFound)
                    .because("there is no such revision to go back to")
            })?;
        let (inner, actor) = (self.inner.clone(), principal.actor().clone());
        let task = tokio::spawn(async move {
            let result = inner.go_back(&entry, target, &actor).await;
            if let Err(fault) = &result {
                inner.note_failure(entry.endpoint, "a rollback failed", fault);
            }
            drop(turn);
            result
        });
        task.await.map_err(|e| broken(&e))?
    }

    /// Removes blobs that no revision names any more and that are older than the grace.
    ///
    /// # Errors
    /// `InternalError.UnknownError` when the ledger or the folder cannot be read.
    pub async fn sweep(&self) -> Result<Swept, Fault> {
        let store = self.inner.store.clone();
        tokio::task::spawn_blocking(move || store.sweep())
            .await
            .map_err(|e| broken(&e))?
    }
}

impl Inner {
    /// The service of that name, for somebody who needs that role on it; `None` where there is
    /// none and he may know that.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`.
    fn found(
        &self,
        principal: &Principal,
        role: Role,
        key: &NameKey,
    ) -> Result<Option<Arc<Entry>>, Fault> {
        let found = self.store.ledger.directory().by_name(key).cloned();
        let target = match &found {
            Some(entry) => Target::service(entry),
            None => Target::resource(key),
        };
        principal.permit(role, &target)?;
        Ok(found)
    }

    /// Like [`Inner::found`], where it must be there.
    ///
    /// # Errors
    /// `Unauthorized.ManagementRequestUnauthorized`; `NotFound.WebServiceNotFound`.
    fn entry(&self, principal: &Principal, role: Role, key: &NameKey) -> Result<Arc<Entry>, Fault> {
        self.found(principal, role, key)?
            .ok_or_else(faults::not_found::web_service_not_found)
    }

    /// Ends the containers of an endpoint that is no more, and its series.
    pub(crate) async fn forget(&self, endpoint: store::Id) {
        self.host.remove(endpoint.0).await;
        self.telemetry.forget_endpoint(endpoint.0);
    }

    /// Makes one key of an endpoint anew; answers both.
    async fn regenerate(
        &self,
        endpoint: store::Id,
        which: WhichKey,
        actor: &Actor,
    ) -> Result<[String; 2], Fault> {
        let fresh = Some(store::random_key());
        let (primary, secondary) = match which {
            WhichKey::Primary => (fresh, None),
            WhichKey::Secondary => (None, fresh),
        };
        let ledger = &self.store.ledger;
        ledger.set_keys(endpoint, primary, secondary, actor).await?;
        ledger.keys(endpoint).await
    }

    async fn go_back(
        &self,
        entry: &Entry,
        target: RevisionSummary,
        actor: &Actor,
    ) -> Result<ServiceView, Fault> {
        let revision = self.store.ledger.revision(target.id).await?;
        let definition: serde_json::Value =
            serde_json::from_str(&revision.definition).map_err(|e| {
                faults::internal_error::web_service_package_invalid("it is not JSON").caused_by(&e)
            })?;
        let package = Package::from_stored_json(&definition)?;
        // It was within the limits when it was deployed; they may have changed since.
        let throttles = self.options.load().throttles;
        let max_concurrent_calls = package
            .max_concurrent_calls
            .map_or(throttles.usual, |asked| {
                u32::try_from(asked)
                    .unwrap_or(throttles.most)
                    .clamp(throttles.least, throttles.most)
            });
        let (store, options) = (&self.store, self.options.load());
        let files = source::stored_files(store, &revision, options.pool, &options.modules)?;
        let label = entry.label();
        let prepared = self.host.prepare(entry.endpoint.0, &label, files).await?;
        let after = self
            .store
            .ledger
            .activate_revision(
                entry.service,
                revision.id,
                max_concurrent_calls,
                entry.version,
                actor,
            )
            .await?;
        self.host.activate(prepared);
        self.telemetry.note(
            entry.endpoint.0,
            NoteLevel::Info,
            format!("rolled back: revision {} answers calls", target.number),
        );
        ServiceView::new(after, &revision.definition)
    }

    /// A page of what the principal sees of a part of the installation.
    async fn page(
        &self,
        principal: &Principal,
        after: Option<&str>,
        limit: usize,
        within: Within,
    ) -> Result<Page, Fault> {
        principal.permit_list(&match &within {
            Within::Installation => Target::installation(),
            Within::Subscription(s) => Target::subscription(s.clone()),
            Within::ResourceGroup(s, g) => Target::resource_group(s.clone(), g.clone()),
        })?;
        // The index leads to the scope's own part where it has one. In a scope that it does not
        // know, names are read until the page is full.
        let within = match (within, principal.scope()) {
            (Within::Installation, Scope::Subscription(s)) => Within::Subscription(s.clone()),
            (Within::Installation | Within::Subscription(_), Scope::ResourceGroup(s, g)) => {
                Within::ResourceGroup(s.clone(), g.clone())
            }
            (within, _) => within,
        };
        let mut after = after.map(end_of_page).transpose()?;
        // One more than asked for tells whether there is a next page.
        let wanted = limit.saturating_add(1);
        let ledger = &self.store.ledger;
        let mut found: Vec<Arc<Entry>> = Vec::new();
        loop {
            let names = ledger.names(within.clone(), after, wanted).await?;
            let last = names.len() < wanted;
            after = names.last().cloned();
            let directory = ledger.directory();
            let entries = names.iter().filter_map(|name| directory.by_name(name));
            let seen = entries.filter(|entry| principal.sees(&Target::service(entry)));
            found.extend(seen.cloned());
            if last || found.len() >= wanted {
                break;
            }
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let end = found.last().filter(|_| more);
        let next = end.map(|entry| place(&entry.service_name.key()));
        let ids = found.iter().map(|entry| entry.revision).collect();
        let definitions = self.store.ledger.definitions(ids).await?;
        let mut definitions = definitions.into_iter().peekable();
        let mut services = Vec::with_capacity(found.len());
        for entry in found {
            // A service that went in between is not in the list.
            if let Some((_, text)) = definitions.next_if(|(id, _)| *id == entry.revision) {
                services.push(ServiceView::new(entry, &text)?);
            }
        }
        Ok(Page { services, next })
    }
}

/// Where a service stands in a list; also what a page's end is told by. No name has a `/`.
fn place(key: &NameKey) -> String {
    format!("{}/{}/{}", key.subscription, key.resource_group, key.name)
}

/// Reads what [`place`] wrote.
fn end_of_page(text: &str) -> Result<NameKey, Fault> {
    let mut parts = text.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(subscription), Some(resource_group), Some(name), None) => Ok(NameKey {
            subscription: Subscription::of(subscription),
            resource_group: folded(resource_group),
            name: folded(name),
        }),
        _ => Err(faults::bad_argument::invalid_query_parameter(
            "$skiptoken",
            "It is taken from nextLink as it stands there.",
        )),
    }
}

fn blob_name(text: &str) -> Result<Sha256, Fault> {
    Sha256::parse(text).ok_or_else(|| {
        faults::bad_argument::request_body_invalid()
            .at("sha256")
            .because("the blob's name is no SHA-256 of 64 hexadecimal digits")
    })
}
