//! The operations on who is let in: tickets into a session, who is connected to it, keys, and
//! taking grants back.

use portico_core::limits;
use serde_json::json;

use super::super::operation::Method::{Get, Post};
use super::super::operation::{Answer, Body, JSON, Operation, Parameter, Tag};
use super::super::problem::Kind;
use super::super::{access, connections, schema, tickets};
use crate::token::Scope::{Admin, SessionsRead, SessionsWrite, TicketsWrite};

pub fn all() -> Vec<Operation> {
    vec![create_ticket(), connections(), keys(), add_key(), revoke()]
}

const KEYS: &str = "/v1/access/keys";

fn id() -> Parameter {
    Parameter::in_path("id", "The session's id.", schema::session_id())
}

fn create_ticket() -> Operation {
    Operation::new(Post, "/v1/sessions/{id}/tickets", tickets::create)
        .named("createTicket", Tag::Sessions, "Make a ticket into a session")
        .described(
            "Send the browser of a user whom the platform knows to one of the URLs: no sign-in is \
             asked for. It is used once and within its time; only one of the URLs can be. Whom the \
             session's `access` lets in is looked up when the ticket is used and not now, so that \
             a ticket can be made for whom it does not let in, and opens nothing then.",
        )
        .needing(&[TicketsWrite, SessionsWrite])
        .taking([id()])
        .reading(Body {
            schema: "NewTicket",
            media_types: JSON,
            bytes_max: limits::API_BODY_BYTES_MAX,
            example: json!({ "user": "ada@example.com", "to": "/lab" }),
        })
        .answering(Answer::json(201, "Ticket", "It is made."))
        .refusing([Kind::UnknownSession])
}

fn connections() -> Operation {
    Operation::new(Get, "/v1/sessions/{id}/connections", connections::list)
        .named("listConnections", Tag::Sessions, "List who is connected to a session")
        .described("As each replica said it last, some seconds ago.")
        .needing(&[SessionsRead])
        .taking([id()])
        .answering(Answer::json(200, "Connections", "In the order of the replicas."))
        .refusing([Kind::UnknownSession])
}

fn keys() -> Operation {
    Operation::new(Get, KEYS, access::keys)
        .named("listKeys", Tag::Access, "List the keys of grants")
        .described("Not for a token that is bound to workspaces.")
        .needing(&[Admin])
        .answering(Answer::json(200, "Keys", "In the order of their ids."))
        .refusing([Kind::OutOfBounds])
}

fn add_key() -> Operation {
    Operation::new(Post, KEYS, access::add_key)
        .named("addKey", Tag::Access, "Exchange the key of grants")
        .described(
            "It signs as soon as every replica must know it. What the keys before it signed stays \
             valid: revoke that where a secret is known to others. Keys are also exchanged by \
             themselves, as the settings say. Not for a token that is bound to workspaces.",
        )
        .needing(&[Admin])
        .answering(Answer::json(201, "Key", "It is made."))
        .refusing([Kind::OutOfBounds, Kind::Exists])
}

fn revoke() -> Operation {
    Operation::new(Post, "/v1/access/revocations", access::revoke)
        .named("revoke", Tag::Access, "Take grants back")
        .described(
            "All tickets, sign-ins, grants and open connections that come of a user's sign-ins \
             until now, or of one of them, end within a second. The user can sign in again. Not \
             for a token that is bound to workspaces.",
        )
        .needing(&[Admin])
        .reading(Body {
            schema: "NewRevocation",
            media_types: JSON,
            bytes_max: limits::API_BODY_BYTES_MAX,
            example: json!({ "user": "bob@example.com" }),
        })
        .answering(Answer::json(201, "Revocation", "It is taken back."))
        .refusing([Kind::OutOfBounds, Kind::Exists])
}
