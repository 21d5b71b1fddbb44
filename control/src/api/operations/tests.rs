//! That the table and the parsers agree: what is read is what is promised, name by name.

use std::collections::BTreeSet;

use portico_core::access::Policy;
use portico_core::domain::Domains;
use portico_core::network::UpstreamNetworks;
use portico_core::session::{Routing, Timestamp};
use portico_core::template::Catalogue;
use portico_core::workspace::AllowList;
use serde_json::Value;

use super::super::fields::Fields;
use super::super::operation::{Access, Operation, Place};
use super::super::problem::Kind;
use super::super::wire::{self, Draft, Patch};
use super::super::{
    ApiSettings, access, events, replicas, request, sessions, templates, tickets, tokens, usage,
    workspaces,
};
use super::{all, schemas};
use crate::access::SharedAccess;
use crate::events::Events;
use crate::rules::SharedRules;
use crate::token::{Keyring, Token};

fn settings() -> ApiSettings {
    ApiSettings {
        domains: Domains::new("https://connect.example.com", None, Some("example.com")).unwrap(),
        default_routing: Routing::Both,
        default_policy: Policy::Private,
        public_sessions: false,
        login_lifetime: std::time::Duration::from_secs(3_600),
        access: SharedAccess::default(),
        upstream_networks: UpstreamNetworks::default(),
        allowed_workspaces: AllowList::All,
        catalogue: Catalogue::builtin(),
        keyring: Keyring::new(None),
        rules: SharedRules::new(AllowList::All, Catalogue::builtin()),
        events: Events::new().0,
        quotas: Default::default(),
        metrics: prometheus::Registry::new(),
    }
}

fn properties(schema: &str) -> BTreeSet<String> {
    let found = schemas().into_iter().find(|(name, _)| *name == schema);
    let (_, schema) = found.unwrap_or_else(|| panic!("no schema {schema}"));
    assert_eq!(schema["additionalProperties"], Value::Bool(false), "others are refused");
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

fn operation(id: &str) -> Operation {
    all().into_iter().find(|operation| operation.id == id).unwrap()
}

/// Whatever it makes of an empty object, which has no mistakes but missing fields.
fn asked(read: impl FnOnce(&[u8])) -> BTreeSet<String> {
    Fields::take_asked();
    read(b"{}");
    Fields::take_asked()
}

#[test]
fn every_field_that_is_read_is_in_the_schema_and_every_other_is_not() {
    let (settings, secret) = (settings(), Token::generate().unwrap());
    let read: [(&str, BTreeSet<String>); 9] = [
        ("NewSession", asked(|body| drop(Draft::parse(body, &settings)))),
        ("SessionChange", asked(|body| drop(Patch::parse(body, &settings)))),
        ("Bulk", asked(|body| drop(sessions::bulk::read(body)))),
        ("AllowedWorkspaces", asked(|body| drop(workspaces::read_list(body)))),
        ("WorkspaceLimits", asked(|body| drop(workspaces::read_limits(body)))),
        ("NewTemplate", asked(|body| drop(templates::read("a".parse().unwrap(), body)))),
        ("NewToken", asked(|body| drop(tokens::read(body, &secret)))),
        ("NewTicket", asked(|body| drop(tickets::read(body)))),
        ("NewRevocation", asked(|body| drop(access::read(body)))),
    ];
    for (schema, asked) in &read {
        assert_eq!(*asked, properties(schema), "{schema}");
    }
    let bodies: BTreeSet<_> =
        all().into_iter().filter_map(|operation| Some(operation.body?.schema)).collect();
    assert_eq!(bodies, read.iter().map(|(schema, _)| *schema).collect(), "each body is here");
}

#[test]
fn every_parameter_that_is_read_is_in_the_table() {
    let uri = "/".parse().unwrap();
    let read: [(&str, BTreeSet<String>); 4] = [
        ("listSessions", asked(|_| drop(wire::query(request::query(&uri).unwrap())))),
        ("listen", asked(|_| drop(events::read(&uri)))),
        ("readUsage", asked(|_| drop(usage::asked(&uri, Timestamp(0), false)))),
        ("readAudit", asked(|_| drop(replicas::read(&uri)))),
    ];
    for (id, asked) in &read {
        let operation = operation(id);
        let query = operation.parameters.iter().filter(|p| p.place == Place::Query);
        assert_eq!(*asked, query.map(|p| p.name.to_owned()).collect(), "{id}");
    }
    let with_query = all().into_iter().filter(|operation| {
        operation.parameters.iter().any(|parameter| parameter.place == Place::Query)
    });
    assert_eq!(with_query.count(), read.len(), "each query is here");
}

#[test]
fn ids_and_problems_have_names_of_their_own() {
    let operations = all();
    let ids: BTreeSet<_> = operations.iter().map(|operation| operation.id).collect();
    assert!(ids.len() == operations.len() && !ids.contains(""));
    let slugs: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.slug()).collect();
    assert_eq!(slugs.len(), Kind::ALL.len());
}

#[test]
fn nothing_but_the_description_of_the_api_is_open() {
    let open = all().into_iter().filter(|operation| operation.access == Access::Open);
    let paths: Vec<_> = open.map(|operation| operation.path).collect();
    assert_eq!(paths, ["/v1/openapi.json", "/v1/docs"]);
}

#[test]
fn every_part_of_a_path_is_described() {
    for operation in all() {
        let parts = operation.path.split('/').filter_map(|part| part.strip_prefix('{'));
        let parts: Vec<_> = parts.map(|part| part.trim_end_matches('}')).collect();
        let described = operation.parameters.iter().filter(|p| p.place == Place::Path);
        assert_eq!(parts, described.map(|p| p.name).collect::<Vec<_>>(), "{}", operation.id);
    }
}
