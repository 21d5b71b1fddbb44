//! The operations that tell what runs, what changes, and who changed it.

use super::super::super::operation::Method::{Get, Post};
use super::super::super::operation::{Answer, Content, Operation, Parameter, Tag};
use super::super::super::problem::Kind;
use super::super::super::{events, quotas, replicas, schema, store};
use crate::token::Scope::{Admin, SessionsRead, UsageRead};

pub fn all() -> Vec<Operation> {
    vec![listen(), list(), list_quotas(), audit(), accept()]
}

fn listen() -> Operation {
    let after = "As `Last-Event-ID`, for clients that cannot send it.";
    Operation::new(Get, "/v1/events", events::listen)
        .named("listen", Tag::Operations, "Listen to changes")
        .described(
            "A stream of server-sent events that ends only with its token. Without a place to go \
             on from it begins with the next change. Where the changes that were missed are not \
             kept any more, `reset` tells so first. A token that is bound to workspaces hears of \
             those.",
        )
        .needing(&[SessionsRead])
        .taking([
            Parameter::in_query(
                "workspace",
                "Only of this workspace.",
                schema::name("", "genomics"),
            ),
            Parameter::in_query("after", after, schema::position()),
            Parameter::last_event_id(),
        ])
        .answering(Answer::new(200, "Changes as they happen.", Content::Events("Event")))
        .refusing([Kind::OutOfBounds, Kind::TooManyListeners])
}

fn list() -> Operation {
    Operation::new(Get, "/v1/replicas", replicas::list)
        .named("listReplicas", Tag::Operations, "List replicas")
        .needing(&[SessionsRead])
        .answering(Answer::json(200, "Replicas", "All that have started and not ended."))
}

fn list_quotas() -> Operation {
    Operation::new(Get, "/v1/quotas", quotas::list)
        .named("listQuotas", Tag::Operations, "Read the traffic quotas")
        .described(
            "The policy in force, and the accounts that have used 80 % of a quota or more, the \
             fullest first: as this replica knows them, which are those that had traffic through \
             it, with what all replicas have counted. Not for a token that is bound to workspaces.",
        )
        .needing(&[UsageRead])
        .answering(Answer::json(200, "Quotas", "The policy and the accounts."))
        .refusing([Kind::OutOfBounds])
}

fn audit() -> Operation {
    let pages = Content::JsonOrLines("AuditPage", "AuditRecord");
    let cursor = "`next_cursor` of the page before, or the `position` of the last record.";
    Operation::new(Get, "/v1/audit", replicas::audit)
        .named("readAudit", Tag::Operations, "Read the audit log")
        .described("Every change, oldest first. Not for a token that is bound to workspaces.")
        .needing(&[Admin])
        .taking([Parameter::in_query("cursor", cursor, schema::position()), Parameter::limit()])
        .answering(Answer::new(200, "A page.", pages))
        .refusing([Kind::OutOfBounds])
}

fn accept() -> Operation {
    Operation::new(Post, "/v1/store/accept", store::accept)
        .named("acceptStore", Tag::Operations, "Accept the store as it is now")
        .described(
            "Where the store came back as another one, or with nothing in it, routes are kept and \
             writes are refused until this says that it is meant. Not for a token that is bound to \
             workspaces.",
        )
        .needing(&[Admin])
        .answering(Answer::json(200, "AcceptedStore", "It is obeyed from now on."))
        .refusing([Kind::OutOfBounds])
}
