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

#[path = "api/refusals.rs"]
mod refusals;

#[path = "api/feed.rs"]
mod feed;
