//! The operations on tokens.

use portico_core::limits;
use serde_json::json;

use super::super::super::operation::Header::Location;
use super::super::super::operation::Method::{Delete, Get, Post};
use super::super::super::operation::{Answer, Body, Content, JSON, Operation, Parameter, Tag};
use super::super::super::problem::Kind;
use super::super::super::{schema, tokens};
use crate::token::Scope::Admin;

pub fn all() -> Vec<Operation> {
    let operations = [list(), create(), fetch(), revoke(), rotate()];
    let bounded = |operation: Operation| operation.needing(&[Admin]).refusing([Kind::OutOfBounds]);
    operations.into_iter().map(bounded).collect()
}

const ALL: &str = "/v1/tokens";
const ONE: &str = "/v1/tokens/{name}";

fn name() -> Parameter {
    Parameter::in_path("name", "The token's name.", schema::name("", "platform"))
}

fn list() -> Operation {
    Operation::new(Get, ALL, tokens::list)
        .named("listTokens", Tag::Tokens, "List tokens")
        .described("Not the one of the settings, which is an administrator and not in the store.")
        .answering(Answer::json(200, "Tokens", "All of them."))
}

fn create() -> Operation {
    Operation::new(Post, ALL, tokens::create)
        .named("createToken", Tag::Tokens, "Make a token")
        .described("Its secret is in this answer and nowhere else.")
        .reading(Body {
            schema: "NewToken",
            media_types: JSON,
            bytes_max: limits::API_BODY_BYTES_MAX,
            example: json!({
                "name": "platform", "scopes": ["sessions:write"], "workspaces": ["genomics"],
            }),
        })
        .answering(Answer::json(201, "TokenWithSecret", "It is made.").with(&[Location]))
        .refusing([Kind::Exists])
}

fn fetch() -> Operation {
    Operation::new(Get, ONE, tokens::fetch)
        .named("readToken", Tag::Tokens, "Read a token")
        .taking([name()])
        .answering(Answer::json(200, "Token", "The token, without its secret."))
        .refusing([Kind::Unknown])
}

fn revoke() -> Operation {
    Operation::new(Delete, ONE, tokens::revoke)
        .named("revokeToken", Tag::Tokens, "Revoke a token")
        .taking([name()])
        .answering(Answer::new(204, "It opens nothing any more.", Content::None))
        .refusing([Kind::Unknown])
}

fn rotate() -> Operation {
    Operation::new(Post, "/v1/tokens/{name}/rotate", tokens::rotate)
        .named("rotateToken", Tag::Tokens, "Exchange the secret of a token")
        .described("The old one is out of force at once; the new one is in this answer only.")
        .taking([name()])
        .answering(Answer::json(200, "TokenWithSecret", "With its new secret."))
        .refusing([Kind::Unknown, Kind::VersionMismatch])
}
