//! The operations on what was used, and when.

use super::super::operation::Method::Get;
use super::super::operation::{Answer, Content, Operation, Parameter, Tag};
use super::super::problem::Kind;
use super::super::usage::schema::{by, cursor, format, moment, step};
use super::super::{activity, schema, usage};
use crate::token::Scope::{SessionsRead, UsageRead};

pub fn all() -> Vec<Operation> {
    vec![read(), activity()]
}

fn read() -> Operation {
    let csv = "As `Accept` says, unless it is given here. CSV is whole, and has no `limit` and \
               no `cursor`; a name in it that begins with `=`, `+`, `-` or `@` is led by an \
               apostrophe, so that no spreadsheet takes it for a formula.";
    let query = [
        Parameter::in_query("by", "Whose usage is summed up.", by()),
        Parameter::in_query("from", "A day before `to` unless given.", moment()),
        Parameter::in_query("to", "Now unless given.", moment()),
        Parameter::in_query("step", "A row for each hour, each day (UTC), or for all.", step()),
        Parameter::in_query("workspace", "Only of this one.", schema::name("", "genomics")),
        Parameter::in_query("user", "Only of this owner.", schema::name("", "ada@example.com")),
        Parameter::in_query("session", "Only of this session.", schema::session_id()),
        Parameter::in_query("format", csv, format()),
        Parameter::in_query("cursor", "`next_cursor` of the page before.", cursor()),
        Parameter::limit(),
    ];
    Operation::new(Get, "/v1/usage", usage::read)
        .named("readUsage", Tag::Usage, "Read what was used")
        .described(
            "Connections, requests, bytes, TCP segments and round-trip times of client \
             connections, kept by the hour for 35 days, also of sessions that are gone. Each \
             replica writes down what it has counted every ten seconds; nothing is counted twice. \
             `from` and `to` are widened to whole hours, and the answer says to which. A token \
             that is bound to workspaces sees those.",
        )
        .needing(&[UsageRead])
        .taking(query)
        .answering(Answer::new(200, "In the order of time and names.", Content::JsonOrCsv(PAGE)))
        .refusing([Kind::OutOfBounds, Kind::Busy])
}

const PAGE: &str = "UsagePage";

fn activity() -> Operation {
    let id = Parameter::in_path("id", "The session's id.", schema::session_id());
    Operation::new(Get, "/v1/sessions/{id}/activity", activity::read)
        .named("readActivity", Tag::Usage, "Read when a session was last used")
        .described(
            "As replicas have written it down, every ten seconds. A browser that nobody looks at \
             keeps its connections busy: pings and status polls are no data.",
        )
        .needing(&[SessionsRead, UsageRead])
        .taking([id])
        .answering(Answer::json(200, "Activity", "Of all replicas together, and of each."))
        .refusing([Kind::UnknownSession])
}
