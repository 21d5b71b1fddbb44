//! The `/v1` API over real HTTP, with the embedded store, the feed and the table behind it.

// An unwrap that fails is a test that fails.
#![allow(clippy::unwrap_used)]

#[path = "api/world.rs"]
mod world;

#[path = "api/document.rs"]
mod document;

#[path = "api/documents.rs"]
mod documents;

#[path = "api/sessions.rs"]
mod sessions;

#[path = "api/access.rs"]
mod access;

#[path = "api/tickets.rs"]
mod tickets;

#[path = "api/connections.rs"]
mod connections;

#[path = "api/usage.rs"]
mod usage;

#[path = "api/activity.rs"]
mod activity;

#[path = "api/listing.rs"]
mod listing;

#[path = "api/idempotency.rs"]
mod idempotency;

#[path = "api/bulk.rs"]
mod bulk;

#[path = "api/refusals.rs"]
mod refusals;

#[path = "api/tokens.rs"]
mod tokens;

#[path = "api/scopes.rs"]
mod scopes;

#[path = "api/workspaces.rs"]
mod workspaces;

#[path = "api/templates.rs"]
mod templates;

#[path = "api/events.rs"]
mod events;

#[path = "api/running.rs"]
mod running;

#[path = "api/quotas.rs"]
mod quotas;

#[path = "api/feed.rs"]
mod feed;
