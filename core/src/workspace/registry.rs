//! All workspaces that have routes, so that each is one object however many routes it has, and a
//! change of its rules is seen by all of them at once. Only who builds tables comes here; a worker
//! has its `Workspace` from the route.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{AllowList, Limits, Share, Workspace};
use crate::session::Name;

#[derive(Debug, Default)]
pub struct Registry(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    allowed: AllowList,
    share: Share,
    limits: HashMap<Name, Limits>,
    workspaces: HashMap<Name, Arc<Workspace>>,
    tools: HashSet<Name>,
    /// At so many workspaces it is worth looking for those without routes.
    clean_at: usize,
}

const CLEAN_AT_MIN: usize = 1_024;

impl Default for Inner {
    fn default() -> Self {
        Self {
            allowed: AllowList::All,
            share: Share(NonZeroU64::MIN),
            limits: HashMap::new(),
            workspaces: HashMap::new(),
            tools: HashSet::new(),
            clean_at: CLEAN_AT_MIN,
        }
    }
}

impl Registry {
    pub fn workspace(&self, name: &Name) -> Arc<Workspace> {
        let mut inner = self.inner();
        if let Some(workspace) = inner.workspaces.get(name) {
            return workspace.clone();
        }
        if inner.workspaces.len() >= inner.clean_at {
            inner.workspaces.retain(|_, workspace| Arc::strong_count(workspace) > 1);
            inner.clean_at = (inner.workspaces.len() * 2).max(CLEAN_AT_MIN);
        }
        let limits = inner.limits.get(name).copied().unwrap_or_default();
        let allowed = inner.allowed.allows(name);
        let workspace = Arc::new(Workspace::new(name.clone(), allowed, limits, inner.share));
        inner.workspaces.insert(name.clone(), workspace.clone());
        workspace
    }

    /// How many processes share what is limited.
    pub fn shared_by(&self) -> Share {
        self.inner().share
    }

    /// The same name, kept once: there are few tools and many routes.
    pub fn tool(&self, name: &Name) -> Name {
        let mut inner = self.inner();
        if let Some(known) = inner.tools.get(name) {
            return known.clone();
        }
        if inner.tools.len() < CLEAN_AT_MIN {
            inner.tools.insert(name.clone());
        }
        name.clone()
    }

    pub fn allow(&self, list: AllowList) {
        let mut inner = self.inner();
        for workspace in inner.workspaces.values() {
            workspace.allow(list.allows(&workspace.name));
        }
        inner.allowed = list;
    }

    pub fn limit(&self, name: &Name, limits: Limits) {
        let mut inner = self.inner();
        if limits == Limits::NONE {
            inner.limits.remove(name);
        } else {
            inner.limits.insert(name.clone(), limits);
        }
        if let Some(workspace) = inner.workspaces.get(name) {
            workspace.limit(limits, inner.share);
        }
    }

    /// Nothing is limited any more, until told again.
    pub fn unlimit(&self) {
        let mut inner = self.inner();
        for (name, _) in std::mem::take(&mut inner.limits) {
            if let Some(workspace) = inner.workspaces.get(&name) {
                workspace.limit(Limits::NONE, inner.share);
            }
        }
    }

    pub fn share(&self, share: Share) {
        let mut inner = self.inner();
        inner.share = share;
        for (name, limits) in &inner.limits {
            if let Some(workspace) = inner.workspaces.get(name) {
                workspace.limit(*limits, share);
            }
        }
    }

    /// Each change is whole before the lock is let go, so what a panic left is as good as any.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn two_connections() -> Limits {
        Limits { connections_max: NonZeroU64::new(2), ..Limits::NONE }
    }

    #[test]
    fn a_workspace_is_one_object_and_follows_its_rules() {
        let registry = Registry::default();
        let workspace = registry.workspace(&name("a"));
        assert!(Arc::ptr_eq(&workspace, &registry.workspace(&name("a"))));
        assert!(workspace.is_allowed() && !workspace.is_limited());
        registry.allow(AllowList::of_words(["b"]).unwrap());
        assert!(!workspace.is_allowed() && registry.workspace(&name("b")).is_allowed());
        assert!(!registry.workspace(&name("c")).is_allowed(), "made after the list");
        registry.allow(AllowList::All);
        assert!(workspace.is_allowed());
        registry.limit(&name("a"), two_connections());
        registry.limit(&name("d"), two_connections());
        assert!(workspace.is_limited() && registry.workspace(&name("d")).is_limited());
        registry.unlimit();
        assert!(!workspace.is_limited() && !registry.workspace(&name("d")).is_limited());
    }

    #[test]
    fn workspaces_without_routes_are_forgotten() {
        let registry = Registry::default();
        let kept = registry.workspace(&name("kept"));
        for number in 0..CLEAN_AT_MIN * 4 {
            registry.workspace(&name(&format!("w{number}")));
        }
        assert!(registry.inner().workspaces.len() <= CLEAN_AT_MIN);
        assert!(Arc::ptr_eq(&kept, &registry.workspace(&name("kept"))));
    }
}
