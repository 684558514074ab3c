//! What the scoring path needs of the ledger, in memory.

use std::sync::Arc;

use jiff::Timestamp;

use crate::names::{NameKey, ResourceName, Subscription};
use crate::sharded::Sharded;
use crate::tokens::{Token, Tokens};
use crate::workspaces::Sku;
use crate::{EndpointSettings, Id, KeyDigest, Recording};

/// A snapshot of every workspace and endpoint, replaced whole after each committed write.
///
/// A reader holds one snapshot for as long as it looks things up, so what it sees fits together;
/// no look-up waits or does I/O.
#[derive(Debug, Default, Clone)]
pub struct Directory {
    change: u64,
    default_workspace: Option<Id>,
    drained: Option<Id>,
    workspaces: Sharded<Id, Arc<Workspace>>,
    workspaces_by_name: Sharded<NameKey, Arc<Workspace>>,
    workspaces_by_token: Sharded<KeyDigest, Arc<Workspace>>,
    /// By endpoint id, and the default endpoints by service id too.
    by_id: Sharded<Id, Arc<Entry>>,
    by_name: Sharded<NameKey, Arc<Entry>>,
    /// The default endpoints of the services of a name, in whatever group they stand.
    by_short_name: Sharded<Box<str>, Vec<Arc<Entry>>>,
    /// The endpoints of each service.
    by_service: Sharded<Id, Vec<Arc<Entry>>>,
    /// How many endpoints there are.
    endpoints: usize,
    /// Digests of keys and of workspaces' tokens, and how often each occurs.
    known: Sharded<KeyDigest, u32>,
    tokens: Arc<Tokens>,
}

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Its id.
    pub id: Id,
    /// Its names, as given.
    pub name: ResourceName,
    /// Its location, as given.
    pub location: String,
    /// Its tags, a JSON object as text.
    pub tags: Arc<str>,
    /// The address of its owner; empty where none was given.
    pub owner_email: String,
    /// The Resource Manager's id of its storage account; empty where none was given.
    pub storage_account: String,
    /// The identifier in a key vault that it was given.
    pub key_vault: Option<String>,
    /// One of the Resource Manager's states: `Enabled`, `Disabled`, ...
    pub state: String,
    /// One of the Resource Manager's types of workspaces: `Production`.
    pub kind: String,
    /// Its SKU, as a client named it.
    pub sku: Sku,
    /// Digests of the primary and the secondary token.
    pub tokens: [KeyDigest; 2],
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed; later with each change.
    pub modified: Timestamp,
    /// Counts the writes to it other than to its tokens; a further write names the one it has
    /// seen.
    pub version: u64,
}

/// An endpoint with all that a call to it needs, and the service that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The workspace of the service.
    pub workspace: Id,
    /// The subscription of the service, as it is compared.
    pub subscription: Subscription,
    /// The service's id.
    pub service: Id,
    /// The service's names, as given.
    pub service_name: ResourceName,
    /// The service's location, as given.
    pub location: String,
    /// The service's tags, a JSON object as text.
    pub tags: Arc<str>,
    /// Whether the service refuses every further change but deletion.
    pub read_only: bool,
    /// Counts the writes to the service other than to its keys; a further write names the one it
    /// has seen.
    pub version: u64,
    /// When the service was made.
    pub created: Timestamp,
    /// When the service was last changed; later with each change.
    pub modified: Timestamp,
    /// The endpoint's id.
    pub endpoint: Id,
    /// The endpoint's name; `default` for the one that every service has.
    pub endpoint_name: String,
    /// Digests of the primary and the secondary key.
    pub keys: [KeyDigest; 2],
    /// How many calls may be under way on the endpoint.
    pub max_concurrent_calls: u32,
    /// What else the endpoint is set to.
    pub settings: EndpointSettings,
    /// What is recorded of its calls.
    pub recording: Recording,
    /// When the endpoint was made.
    pub endpoint_created: Timestamp,
    /// When the endpoint itself was last changed, other than in its keys.
    pub endpoint_modified: Timestamp,
    /// Counts the writes to the endpoint other than to its keys.
    pub endpoint_version: u64,
    /// The service's revision that the endpoint is a copy of, or of which its own was made; `None`
    /// for the default endpoint. It may be gone.
    pub base_revision: Option<Id>,
    /// The revision that answers calls.
    pub revision: Id,
    /// Its number, counted from 1 in the service.
    pub revision_number: u64,
}

impl Entry {
    /// Whether the digest is that of one of the endpoint's two keys. Both are always compared.
    pub fn has_key(&self, presented: &KeyDigest) -> bool {
        let [primary, secondary] = &self.keys;
        primary.matches(presented) | secondary.matches(presented)
    }

    /// Whether it is the endpoint that every service has.
    pub fn is_default(&self) -> bool {
        self.endpoint_name == DEFAULT_ENDPOINT
    }

    /// `service/endpoint`, for logs and metrics.
    pub fn label(&self) -> String {
        format!("{}/{}", self.service_name.name, self.endpoint_name)
    }
}

/// The name of the endpoint that every service has.
pub const DEFAULT_ENDPOINT: &str = "default";

impl Directory {
    pub(crate) fn set_change(&mut self, change: u64) {
        self.change = change;
    }

    pub(crate) fn set_default_workspace(&mut self, id: Id) {
        self.default_workspace = Some(id);
    }

    pub(crate) fn set_drained(&mut self, node: Option<Id>) {
        self.drained = node;
    }

    /// Replaces all workspaces by these.
    pub(crate) fn put_workspaces(&mut self, all: Vec<Workspace>) {
        let old: Vec<Arc<Workspace>> = self.workspaces.values().cloned().collect();
        for token in old.iter().flat_map(|workspace| workspace.tokens) {
            self.remove_known(&token);
        }
        self.workspaces = Sharded::default();
        self.workspaces_by_name = Sharded::default();
        self.workspaces_by_token = Sharded::default();
        for workspace in all.into_iter().map(Arc::new) {
            for token in workspace.tokens {
                self.add_known(token);
                self.workspaces_by_token.insert(token, workspace.clone());
            }
            let key = workspace.name.key();
            self.workspaces_by_name.insert(key, workspace.clone());
            self.workspaces.insert(workspace.id, workspace);
        }
    }

    /// Replaces all management tokens.
    pub(crate) fn put_tokens(&mut self, tokens: Tokens) {
        self.tokens = Arc::new(tokens);
    }

    /// Replaces all endpoints of a service; none removes it.
    pub(crate) fn put_service(&mut self, service: Id, entries: Vec<Entry>) {
        for old in self.by_service.remove(&service).unwrap_or_default() {
            self.endpoints -= 1;
            self.by_id.remove(&old.endpoint);
            old.keys.iter().for_each(|key| self.remove_known(key));
            if old.endpoint_name == DEFAULT_ENDPOINT {
                self.by_id.remove(&service);
                let key = old.service_name.key();
                self.by_name.remove(&key);
                let mut others = self.by_short_name.remove(&key.name).unwrap_or_default();
                others.retain(|other| other.service != service);
                if !others.is_empty() {
                    self.by_short_name.insert(key.name, others);
                }
            }
        }
        if entries.is_empty() {
            return;
        }
        let entries: Vec<_> = entries.into_iter().map(Arc::new).collect();
        for entry in &entries {
            self.by_id.insert(entry.endpoint, entry.clone());
            entry.keys.iter().for_each(|key| self.add_known(*key));
            if entry.endpoint_name == DEFAULT_ENDPOINT {
                self.by_id.insert(service, entry.clone());
                let key = entry.service_name.key();
                let mut same = self.named(&key.name).to_vec();
                same.push(entry.clone());
                self.by_short_name.insert(key.name.clone(), same);
                self.by_name.insert(key, entry.clone());
            }
        }
        self.endpoints += entries.len();
        self.by_service.insert(service, entries);
    }

    /// Two endpoints may have the same key: clients choose them.
    fn add_known(&mut self, key: KeyDigest) {
        let count = self.known.get(&key).copied().unwrap_or(0);
        self.known.insert(key, count + 1);
    }

    fn remove_known(&mut self, key: &KeyDigest) {
        match self.known.get(key).copied() {
            Some(count) if count > 1 => self.known.insert(*key, count - 1),
            _ => drop(self.known.remove(key)),
        }
    }

    /// Counts the committed writes of the ledger; a replica that has the same number has the same
    /// state.
    pub fn change(&self) -> u64 {
        self.change
    }

    /// Whether a node takes no scoring calls, because an operator drained it.
    pub fn is_drained(&self, node: &Id) -> bool {
        self.drained.as_ref() == Some(node)
    }

    /// The endpoint of that id, or, for a service's id, the service's default endpoint.
    pub fn endpoint(&self, id: &Id) -> Option<&Arc<Entry>> {
        self.by_id.get(id)
    }

    /// The default endpoint of the service of that name.
    pub fn by_name(&self, name: &NameKey) -> Option<&Arc<Entry>> {
        self.by_name.get(name)
    }

    /// The default endpoints of the services of that name, given in lower case, in all resource
    /// groups.
    pub fn named(&self, name: &str) -> &[Arc<Entry>] {
        self.by_short_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// All endpoints of a service, in no order; none where there is no such service.
    pub fn endpoints_of(&self, service: &Id) -> &[Arc<Entry>] {
        self.by_service.get(service).map_or(&[], Vec::as_slice)
    }

    /// The endpoints of all services, in no order.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_service.values().flatten()
    }

    /// How many endpoints there are.
    pub fn endpoint_count(&self) -> usize {
        self.endpoints
    }

    /// The workspace of that id.
    pub fn workspace(&self, id: &Id) -> Option<&Arc<Workspace>> {
        self.workspaces.get(id)
    }

    /// The workspace of that name.
    pub fn workspace_by_name(&self, name: &NameKey) -> Option<&Arc<Workspace>> {
        self.workspaces_by_name.get(name)
    }

    /// The workspace that one of its two tokens has this digest. As for
    /// [`Directory::key_known`], the timing of the look-up tells nothing.
    pub fn workspace_by_token(&self, presented: &KeyDigest) -> Option<&Arc<Workspace>> {
        self.workspaces_by_token.get(presented)
    }

    /// The workspace that services without one get.
    pub fn default_workspace(&self) -> Option<&Arc<Workspace>> {
        self.workspaces.get(self.default_workspace.as_ref()?)
    }

    /// The management token of that digest, whether or not it is still good.
    pub fn token(&self, presented: &KeyDigest) -> Option<&Arc<Token>> {
        self.tokens.of(presented)
    }

    /// All management tokens, by name; of several of a name the newest first.
    pub fn tokens(&self) -> &[Arc<Token>] {
        &self.tokens.all
    }

    /// Whether the digest is that of any key, or of any token that is still good, of this
    /// installation; the operator's own token is not looked at.
    ///
    /// The table is keyed by the digests themselves, which nobody can choose without the master
    /// key, so its timing tells nothing about the keys in it.
    pub fn key_known(&self, presented: &KeyDigest) -> bool {
        self.known.get(presented).is_some()
            || self
                .token(presented)
                .is_some_and(|token| token.is_good(Timestamp::now()))
    }

    /// The default endpoints of all services, in no order.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_name.values()
    }

    /// How many services there are.
    pub fn service_count(&self) -> usize {
        self.by_name.len()
    }

    /// All workspaces, in no order.
    pub fn workspaces(&self) -> impl Iterator<Item = &Arc<Workspace>> {
        self.workspaces.values()
    }
}
