//! The operations on sessions.

use portico_core::limits;
use serde_json::json;

use super::super::operation::Header::{ETag, IdempotentReplayed, Location};
use super::super::operation::Method::{Delete, Get, Patch, Post};
use super::super::operation::{
    Answer, Body, Content, JSON, MERGE_PATCH, Operation, Parameter, Tag,
};
use super::super::problem::Kind;
use super::super::{schema, sessions};
use crate::token::Scope::{SessionsRead, SessionsWrite};

pub fn all() -> Vec<Operation> {
    vec![list(), create(), fetch(), change(), delete(), bulk()]
}

const ALL: &str = "/v1/sessions";
const ONE: &str = "/v1/sessions/{id}";

fn id() -> Parameter {
    Parameter::in_path("id", "The session's id.", schema::session_id())
}

fn list() -> Operation {
    let labels = schema::sought_labels();
    let filters = [
        Parameter::in_query("workspace", "Only of this workspace.", schema::name("", "genomics")),
        Parameter::in_query("owner", "Only of this owner.", schema::name("", "ada@example.com")),
        Parameter::in_query("tool", "Only of this tool.", schema::name("", "jupyter")),
        Parameter::in_query("state", "Only in this state.", schema::state()),
        Parameter::in_query("labels", "Only with all of these labels.", labels),
        Parameter::in_query("cursor", "`next_cursor` of the page before.", schema::session_id()),
        Parameter::limit(),
    ];
    Operation::new(Get, ALL, sessions::list)
        .named("listSessions", Tag::Sessions, "List sessions")
        .described(
            "In the order of their ids, page by page, with all the filters at once. A page can be \
             shorter than asked, or empty, and still have a `next_cursor`. Sessions that come and \
             go between two pages do not make others be left out or told twice.",
        )
        .needing(&[SessionsRead])
        .taking(filters)
        .answering(Answer::json(200, "SessionPage", "A page."))
}

fn create() -> Operation {
    let example = json!({
        "workspace": "genomics", "owner": "ada@example.com", "tool": "jupyter",
        "upstream": "http://10.0.0.7:8888", "lifespan_seconds": 28_800,
    });
    Operation::new(Post, ALL, sessions::create)
        .named("createSession", Tag::Sessions, "Create a session")
        .described("It is routable within milliseconds of the answer.")
        .needing(&[SessionsWrite])
        .taking([Parameter::idempotency_key()])
        .reading(Body {
            schema: "NewSession",
            media_types: JSON,
            bytes_max: limits::API_BODY_BYTES_MAX,
            example,
        })
        .answering(
            Answer::json(
                201,
                "Session",
                "It is there: created now, or by the same request before.",
            )
            .with(&[Location, ETag, IdempotentReplayed]),
        )
        .refusing([
            Kind::OutOfBounds,
            Kind::WorkspaceNotAllowed,
            Kind::WorkspaceFull,
            Kind::RoutingRefused,
            Kind::IdTaken,
            Kind::LabelTaken,
            Kind::KeyReused,
            // Of a key whose session was deleted since.
            Kind::UnknownSession,
        ])
}

fn fetch() -> Operation {
    Operation::new(Get, ONE, sessions::fetch)
        .named("readSession", Tag::Sessions, "Read a session")
        .needing(&[SessionsRead])
        .taking([id()])
        .answering(Answer::json(200, "Session", "The session.").with(&[ETag]))
        .refusing([Kind::UnknownSession])
}

fn change() -> Operation {
    Operation::new(Patch, ONE, sessions::change)
        .named("changeSession", Tag::Sessions, "Change a session")
        .described(
            "What is not named stays. A new state without a `reason` clears the one before, and \
             must be one that can follow: a late message cannot bring a dead session back. Without \
             `If-Match`, a change that others overtook is made again on what they left.",
        )
        .needing(&[SessionsWrite])
        .taking([id(), Parameter::if_match()])
        .reading(Body {
            schema: "SessionChange",
            media_types: MERGE_PATCH,
            bytes_max: limits::API_BODY_BYTES_MAX,
            example: json!({ "state": "running", "upstream": "http://10.0.0.8:8888" }),
        })
        .answering(Answer::json(200, "Session", "As it is now.").with(&[ETag]))
        .refusing([
            Kind::UnknownSession,
            Kind::IllegalStep,
            Kind::RoutingRefused,
            Kind::ChangedMeanwhile,
            Kind::VersionMismatch,
        ])
}

fn delete() -> Operation {
    Operation::new(Delete, ONE, sessions::delete)
        .named("deleteSession", Tag::Sessions, "Delete a session")
        .described("Its URLs answer 410 from then on.")
        .needing(&[SessionsWrite])
        .taking([id(), Parameter::if_match()])
        .answering(Answer::new(204, "It is gone.", Content::None))
        .refusing([Kind::UnknownSession, Kind::ChangedMeanwhile, Kind::VersionMismatch])
}

fn bulk() -> Operation {
    let example = json!({
        "create": [{
            "workspace": "genomics", "owner": "ada@example.com", "tool": "jupyter",
            "upstream": "http://10.0.0.7:8888",
        }],
        "delete": ["3e8370e7"],
    });
    Operation::new(Post, "/v1/bulk/sessions", sessions::bulk)
        .named("bulkSessions", Tag::Sessions, "Create and delete many sessions")
        .described(
            "Each by itself, deletions first. The request succeeds whatever becomes of each: look \
             at every `status`.",
        )
        .needing(&[SessionsWrite])
        .reading(Body {
            schema: "Bulk",
            media_types: JSON,
            bytes_max: limits::BULK_BODY_BYTES_MAX,
            example,
        })
        .answering(Answer::json(200, "BulkOutcomes", "What became of each."))
}
