//! Portico's control plane: where sessions live (`store`), how the data plane learns of them
//! (`feed`), how the platform creates, reads, changes and ends them (`api`, with its bearer
//! `token`), and how the platform is asked who a user is (`oidc`) and what they may (`webhook`).
//!
//! Sessions flow one way: API → store → change log → feed → route table. Nothing here is asked by a
//! worker, and nothing here knows of sockets, rings or requests of the data plane.

#![forbid(unsafe_code)]

mod clock;

pub mod store;

pub mod replica;

pub mod feed;

pub mod transfer;

pub mod rules;

pub mod lifespan;

pub mod idle;

pub mod metering;

pub mod events;

pub mod quotas;

pub mod token;

pub mod api;

pub mod access;

pub mod keys;

pub mod secret;

pub mod sealed;

pub mod outbound;

pub mod oidc;

pub mod webhook;

pub mod edge;

/// An error and its causes in one line, for the log.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
