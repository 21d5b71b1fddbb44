//! The operations on everything but sessions: workspaces, templates, tokens, and what runs.

mod running;
mod tokens;

use portico_core::limits;
use serde_json::json;

use super::super::operation::Header::ETag;
use super::super::operation::Method::{Delete, Get, Put};
use super::super::operation::{Answer, Body, Content, JSON, Operation, Parameter, Tag};
use super::super::problem::Kind;
use super::super::{schema, templates, workspaces};
use crate::token::Scope;
use crate::token::Scope::{Admin, SessionsRead, WorkspacesWrite};

pub fn all() -> Vec<Operation> {
    let own = vec![
        list_workspaces(),
        put_allowed(),
        reset_allowed(),
        fetch_limits(),
        put_limits(),
        delete_limits(),
        list_templates(),
        fetch_template(),
        put_template(),
        delete_template(),
    ];
    [own, tokens::all(), running::all()].into_iter().flatten().collect()
}

const WORKSPACES: &str = "/v1/workspaces";
const WORKSPACE: &str = "/v1/workspaces/{name}";
/// Who may set them may also see them.
const READ_WORKSPACES: &[Scope] = &[SessionsRead, WorkspacesWrite];
const TEMPLATE: &str = "/v1/templates/{key}";

fn workspace() -> Parameter {
    Parameter::in_path("name", "The workspace.", schema::name("", "genomics"))
}

fn template() -> Parameter {
    Parameter::in_path("key", "The template's key.", schema::name("", "jupyter"))
}

fn list_workspaces() -> Operation {
    Operation::new(Get, WORKSPACES, workspaces::list)
        .named("listWorkspaces", Tag::Workspaces, "Read the allow-list and all limits")
        .needing(READ_WORKSPACES)
        .answering(Answer::json(200, "Workspaces", "Of what the token reaches.").with(&[ETag]))
}

fn put_allowed() -> Operation {
    Operation::new(Put, WORKSPACES, workspaces::put_list)
        .named("putAllowedWorkspaces", Tag::Workspaces, "Set the allow-list")
        .described(
            "A workspace that leaves the list loses its routes at once, and has them back when it \
             returns. Not for a token that is bound to workspaces.",
        )
        .needing(&[WorkspacesWrite])
        .taking([Parameter::if_match()])
        .reading(Body {
            schema: "AllowedWorkspaces",
            media_types: JSON,
            bytes_max: limits::BULK_BODY_BYTES_MAX,
            example: json!({ "allowed": ["genomics", "imaging"] }),
        })
        .answering(Answer::json(200, "Workspaces", "As it is now.").with(&[ETag]))
        .refusing([Kind::OutOfBounds, Kind::VersionMismatch, Kind::Exists])
}

fn reset_allowed() -> Operation {
    Operation::new(Delete, WORKSPACES, workspaces::delete_list)
        .named("resetAllowedWorkspaces", Tag::Workspaces, "Go back to the settings' allow-list")
        .needing(&[WorkspacesWrite])
        .taking([Parameter::if_match()])
        .answering(Answer::new(204, "The list of the settings is in force.", Content::None))
        .refusing([Kind::OutOfBounds, Kind::VersionMismatch])
}

fn fetch_limits() -> Operation {
    Operation::new(Get, WORKSPACE, workspaces::fetch)
        .named("readWorkspace", Tag::Workspaces, "Read the limits of a workspace")
        .described("A workspace that nobody limited has none, and the version 0.")
        .needing(READ_WORKSPACES)
        .taking([workspace()])
        .answering(Answer::json(200, "Workspace", "Its limits.").with(&[ETag]))
        .refusing([Kind::Unknown, Kind::OutOfBounds])
}

fn put_limits() -> Operation {
    Operation::new(Put, WORKSPACE, workspaces::put)
        .named("putWorkspace", Tag::Workspaces, "Set the limits of a workspace")
        .described("All of them: those that are not given are none.")
        .needing(&[WorkspacesWrite])
        .taking([workspace(), Parameter::if_match()])
        .reading(Body {
            schema: "WorkspaceLimits",
            media_types: JSON,
            bytes_max: limits::API_BODY_BYTES_MAX,
            example: json!({ "sessions_max": 100, "connections_max": 5_000 }),
        })
        .answering(Answer::json(200, "Workspace", "As it is now.").with(&[ETag]))
        .refusing([Kind::Unknown, Kind::OutOfBounds, Kind::VersionMismatch, Kind::Exists])
}

fn delete_limits() -> Operation {
    Operation::new(Delete, WORKSPACE, workspaces::delete)
        .named("deleteWorkspace", Tag::Workspaces, "Take all limits of a workspace away")
        .needing(&[WorkspacesWrite])
        .taking([workspace(), Parameter::if_match()])
        .answering(Answer::new(204, "It has no limits.", Content::None))
        .refusing([Kind::Unknown, Kind::OutOfBounds, Kind::VersionMismatch])
}

fn list_templates() -> Operation {
    Operation::new(Get, "/v1/templates", templates::list)
        .named("listTemplates", Tag::Templates, "List the catalogue")
        .needing(&[SessionsRead])
        .answering(Answer::json(200, "Templates", "What is built in, set, and put."))
}

fn fetch_template() -> Operation {
    Operation::new(Get, TEMPLATE, templates::fetch)
        .named("readTemplate", Tag::Templates, "Read a template")
        .needing(&[SessionsRead])
        .taking([template()])
        .answering(Answer::json(200, "Template", "The template."))
        .refusing([Kind::Unknown])
}

fn put_template() -> Operation {
    Operation::new(Put, TEMPLATE, templates::put)
        .named("putTemplate", Tag::Templates, "Put a template")
        .described("A new one, or another in the place of one that is there, also a built-in one.")
        .needing(&[Admin])
        .taking([template()])
        .reading(Body {
            schema: "NewTemplate",
            media_types: JSON,
            bytes_max: limits::API_BODY_BYTES_MAX,
            example: json!({
                "tool": "marimo", "repository": "quay.io/example/marimo:0.9-0.12", "port": 8080,
            }),
        })
        .answering(Answer::json(200, "Template", "As it is now."))
        .refusing([Kind::Unknown, Kind::OutOfBounds, Kind::Exists])
}

fn delete_template() -> Operation {
    Operation::new(Delete, TEMPLATE, templates::delete)
        .named("deleteTemplate", Tag::Templates, "Take back a template that was put")
        .described("One that is built in or set is as it was before.")
        .needing(&[Admin])
        .taking([template()])
        .answering(Answer::new(204, "It is taken back.", Content::None))
        .refusing([Kind::Unknown, Kind::OutOfBounds])
}
