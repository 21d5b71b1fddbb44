//! The handlers of `/v1/templates`: the catalogue of tools and what each can do.

pub mod schema;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use portico_core::limits;
use portico_core::record::{DocumentKey, Kind as DocumentKind};
use portico_core::session::Name;
use portico_core::template::{ConnectVersion, Image, PathRouting, Status, Template};
use serde_json::{Value, json};

use super::Api;
use super::auth::By;
use super::fields::{Fields, Null};
use super::problem::{Kind, Problem};
use super::request::{TextPath, json_body, name};
use super::workspaces::refused;
use crate::store::{Conflict, Stored, Write};

type Answer = Result<Response, Problem>;

pub async fn list(State(api): State<Arc<Api>>, _: By) -> Answer {
    let stored = api.store.documents(DocumentKind::Template).await?;
    let mut catalogue = api.settings.catalogue.clone();
    for document in &stored {
        let template = Template::decode(&document.body).map_err(crate::store::StoreError::from)?;
        catalogue = catalogue.with(template);
    }
    let is_stored = |key: &Name| stored.iter().any(|document| document.key.name == *key);
    let items: Vec<_> = catalogue.templates().iter().map(|t| shown(t, is_stored(&t.key))).collect();
    Ok(Json(json!({ "items": items })).into_response())
}

pub async fn fetch(State(api): State<Arc<Api>>, _: By, path: TextPath) -> Answer {
    let name = name(path)?;
    if let Some(document) = api.store.document(key(&name)).await? {
        let template = Template::decode(&document.body).map_err(crate::store::StoreError::from)?;
        return Ok(Json(shown(&template, true)).into_response());
    }
    let own = api.settings.catalogue.find(&name);
    let own = own.ok_or_else(|| Problem::new(Kind::Unknown, "no template has this key"))?;
    Ok(Json(shown(own, false)).into_response())
}

/// A new template, or a changed one; also one of those that are built in.
pub async fn put(State(api): State<Arc<Api>>, by: By, path: TextPath, request: Request) -> Answer {
    by.require_unbounded()?;
    let name = name(path)?;
    let body = json_body(request, limits::API_BODY_BYTES_MAX).await?;
    let template = read(name.clone(), &body)?;
    let key = key(&name);
    let count = api.store.documents(DocumentKind::Template).await?.len();
    if count >= limits::TEMPLATES_MAX && api.store.document(key.clone()).await?.is_none() {
        let detail = format!("there are {count} templates, as many as there may be");
        return Err(Problem::new(Kind::Exists, detail));
    }
    let write = Write::PutDocument { key, body: template.encode(), expected: None };
    api.store.write(write, by.author()).await?.map_err(refused)?;
    Ok(Json(shown(&template, true)).into_response())
}

/// Takes away what was put; a template of the settings or a built-in one is as it was then.
pub async fn delete(State(api): State<Arc<Api>>, by: By, path: TextPath) -> Answer {
    by.require_unbounded()?;
    let write = Write::DeleteDocument { key: key(&name(path)?), expected: None };
    match api.store.write(write, by.author()).await?.map(Stored::into_document) {
        Ok(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(Conflict::Missing) => {
            let detail =
                "nothing was put under this key; what is built in or set cannot be deleted";
            Err(Problem::new(Kind::Unknown, detail))
        }
        Err(conflict) => Err(refused(conflict)),
    }
}

pub(super) fn read(key: Name, body: &[u8]) -> Result<Template, Problem> {
    let mut fields = Fields::from_json(body, Null::Absent)?;
    for field in ["tool", "repository"] {
        fields.require(field);
    }
    let tool = fields.parsed("tool");
    let repository =
        fields.checked("repository", |text| Image::parse(text).map(|_| text.to_owned()));
    let status = fields.parsed("status").unwrap_or(Status::Recommended);
    let icon = fields.checked("icon", |text| text.parse::<Name>().map(|icon| icon.to_string()));
    let port = fields.number("port", |port| match u16::try_from(port) {
        Ok(port @ 1..) => Ok(port),
        _ => Err("must be a port, 1 to 65535"),
    });
    let minimum = fields.parsed::<ConnectVersion>("client_version_min");
    let refusal = fields.checked("path_refusal", |text| match text.len() {
        1..=limits::REASON_BYTES_MAX if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err("must be a short text"),
    });
    let path = fields.boolean("path_routing");
    let path = path.unwrap_or(refusal.is_none());
    if !path && minimum.is_some() {
        fields.invalid::<()>("client_version_min", "is of no use where path_routing is false");
    }
    let path_routing = match (path, refusal) {
        (true, None) => PathRouting::Supported { client_version_min: minimum },
        (true, Some(_)) => {
            fields.invalid::<()>("path_refusal", "is of no use where path_routing is true");
            PathRouting::Supported { client_version_min: minimum }
        }
        (false, reason) => {
            let reason = reason.unwrap_or_else(|| "the tool does not support it".to_owned());
            PathRouting::Unsupported { reason }
        }
    };
    let complete = fields.complete("is not a field of a template");
    let (true, Some(tool), Some(repository)) = (complete, tool, repository) else {
        return Err(fields.into_problem());
    };
    Ok(Template {
        key,
        tool,
        status,
        repository,
        icon,
        port: port.unwrap_or(DEFAULT_PORT),
        path_routing,
    })
}

const DEFAULT_PORT: u16 = 8080;

fn shown(template: &Template, is_stored: bool) -> Value {
    let (path, minimum, refusal) = match &template.path_routing {
        PathRouting::Supported { client_version_min } => {
            (true, client_version_min.map(|version| version.to_string()), None)
        }
        PathRouting::Unsupported { reason } => (false, None, Some(reason)),
    };
    json!({
        "key": template.key.as_str(),
        "tool": template.tool.as_str(),
        "status": template.status.as_str(),
        "repository": template.repository,
        "icon": template.icon,
        "port": template.port,
        "path_routing": path,
        "client_version_min": minimum,
        "path_refusal": refusal,
        "origin": if is_stored { "api" } else { "settings" },
    })
}

fn key(name: &Name) -> DocumentKey {
    DocumentKey { kind: DocumentKind::Template, name: name.clone() }
}
