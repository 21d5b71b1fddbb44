//! What decides whether a session may be created: the allow-list, the limits of workspaces and the
//! catalogue of templates, as the settings began them and the feed changed them since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use portico_core::record::{Document, DocumentKey, Kind};
use portico_core::session::Name;
use portico_core::template::{Catalogue, Template};
use portico_core::workspace::{AllowList, Limits, Origin, StoredAllowList};

use crate::feed::Follower;
use crate::store::{Change, Entry, Snapshot};

/// What is in force now.
#[derive(Debug, Clone)]
pub struct Rules {
    pub allowed: StoredAllowList,
    pub limits: BTreeMap<Name, Limits>,
    pub catalogue: Catalogue,
}

/// The same rules for everybody who has a clone.
#[derive(Clone)]
pub struct SharedRules(Arc<ArcSwap<Rules>>);

pub struct RulesFollower {
    shared: SharedRules,
    /// Of the settings, in force where the store has nothing.
    allowed: AllowList,
    catalogue: Catalogue,
    templates: BTreeMap<Name, Template>,
}

impl SharedRules {
    pub fn new(allowed: AllowList, catalogue: Catalogue) -> Self {
        let allowed = StoredAllowList { list: allowed, origin: Origin::Settings };
        let rules = Rules { allowed, limits: BTreeMap::new(), catalogue };
        Self(Arc::new(ArcSwap::from_pointee(rules)))
    }

    pub fn now(&self) -> Arc<Rules> {
        self.0.load_full()
    }

    pub fn follower(&self) -> RulesFollower {
        let Rules { allowed, catalogue, .. } = Rules::clone(&self.now());
        RulesFollower {
            shared: self.clone(),
            allowed: allowed.list,
            catalogue,
            templates: BTreeMap::new(),
        }
    }
}

impl RulesFollower {
    fn begin(&self) -> Rules {
        Rules {
            allowed: StoredAllowList { list: self.allowed.clone(), origin: Origin::Settings },
            limits: BTreeMap::new(),
            catalogue: self.catalogue.clone(),
        }
    }

    fn put(&mut self, rules: &mut Rules, document: &Document) {
        let Document { key: DocumentKey { kind, name }, body, .. } = document;
        let done = match kind {
            Kind::AllowList => StoredAllowList::decode(body).map(|allowed| rules.allowed = allowed),
            Kind::Workspace => Limits::decode(body).map(|limits| {
                rules.limits.insert(name.clone(), limits);
            }),
            Kind::Template => Template::decode(body).map(|template| {
                self.templates.insert(name.clone(), template);
            }),
            Kind::Token
            | Kind::Replica
            | Kind::Store
            | Kind::SigningKey
            | Kind::Revocation
            | Kind::Client => Ok(()),
        };
        if let Err(error) = done {
            let error = crate::with_causes(&error);
            tracing::error!(document = %document.key, error, "it cannot be read");
            if *kind == Kind::AllowList {
                rules.allowed.list = AllowList::Only(BTreeSet::new());
            }
        }
    }

    fn delete(&mut self, rules: &mut Rules, DocumentKey { kind, name }: &DocumentKey) {
        match kind {
            Kind::AllowList => rules.allowed = self.begin().allowed,
            Kind::Workspace => {
                rules.limits.remove(name);
            }
            Kind::Template => {
                self.templates.remove(name);
            }
            Kind::Token
            | Kind::Replica
            | Kind::Store
            | Kind::SigningKey
            | Kind::Revocation
            | Kind::Client => {}
        }
    }

    fn publish(&self, mut rules: Rules) {
        let templates = self.templates.values().cloned();
        rules.catalogue = templates.fold(self.catalogue.clone(), |all, one| all.with(one));
        self.shared.0.store(Arc::new(rules));
    }
}

impl Follower for RulesFollower {
    fn load(&mut self, snapshot: &Snapshot) {
        self.templates.clear();
        let mut rules = self.begin();
        snapshot.documents.iter().for_each(|document| self.put(&mut rules, document));
        self.publish(rules);
    }

    fn follow(&mut self, entries: &[Entry]) {
        let mut rules = None;
        for entry in entries {
            match &entry.change {
                Change::DocumentPut(document) => {
                    let mut now = rules.unwrap_or_else(|| Rules::clone(&self.shared.now()));
                    self.put(&mut now, document);
                    rules = Some(now);
                }
                Change::DocumentDeleted(key) => {
                    let mut now = rules.unwrap_or_else(|| Rules::clone(&self.shared.now()));
                    self.delete(&mut now, key);
                    rules = Some(now);
                }
                Change::Put(_)
                | Change::Deleted(_)
                | Change::Gone(_)
                | Change::Forgotten(_)
                | Change::Noted
                | Change::Unreadable(_) => {}
            }
        }
        if let Some(rules) = rules {
            self.publish(rules);
        }
    }
}
