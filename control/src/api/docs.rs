//! `/v1/docs`: the API as a page for people, made of the same table as the OpenAPI document. No
//! scripts, and nothing from elsewhere: what a browser shows is what came with this one answer.

mod html;
mod shape;

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::openapi::{ABOUT, said};
use super::operation::{Answer, Body, Content, Operation, Parameter, Place, Tag};
use super::operations;
use super::problem::Kind;
use html::{code, link, prose, row, table, text};

/// The style stands in the page; nothing is loaded, sent or framed.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

pub async fn show() -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(page);
    let fixed: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (fixed, PAGE.as_str()).into_response()
}

fn page() -> String {
    let operations = operations::all();
    let mut body = String::from("<h1>Portico API</h1>");
    for paragraph in ABOUT.split("\n\n") {
        body += &format!("<p>{}</p>", prose(paragraph));
    }
    body += "<p>For programs: <a href=\"/v1/openapi.json\">OpenAPI 3.1</a>.</p>";
    body += &contents(&operations);
    for tag in Tag::ALL {
        body += &format!("<h2 id=\"{0}\">{0}</h2><p>{1}</p>", tag.name(), prose(tag.description()));
        let of_tag = operations.iter().filter(|operation| operation.tag == tag);
        body.extend(of_tag.map(section));
    }
    body += "<h2 id=\"Shapes\">Shapes</h2>";
    body.extend(operations::schemas().iter().map(|(name, schema)| shape::section(name, schema)));
    body += "<h2 id=\"Problems\">Problems</h2>";
    let problems = Kind::ALL
        .iter()
        .map(|kind| row(&[code(&kind.uri()), text(kind.status().as_str()), text(kind.title())]));
    body += &table(&["type", "status", "meaning"], problems);
    let style = include_str!("docs/style.css");
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Portico API</title><style>{style}</style></head><body>{body}</body></html>\n"
    )
}

fn contents(operations: &[Operation]) -> String {
    let mut nav = String::from("<nav aria-label=\"Contents\">");
    for tag in Tag::ALL {
        nav += &format!("<h3>{}</h3><ul>", link(tag.name(), tag.name()));
        for operation in operations.iter().filter(|operation| operation.tag == tag) {
            let item = link(operation.id, operation.summary);
            nav += &format!("<li>{item} {}</li>", called(operation));
        }
        nav += "</ul>";
    }
    nav + &format!(
        "<h3>{}</h3><h3>{}</h3></nav>",
        link("Shapes", "Shapes"),
        link("Problems", "Problems")
    )
}

/// `GET /v1/sessions`
fn called(operation: &Operation) -> String {
    code(&format!("{} {}", operation.method.word().to_ascii_uppercase(), operation.path))
}

fn section(operation: &Operation) -> String {
    let mut section = format!(
        "<section id=\"{}\"><h3>{}</h3><p>{}</p><p>{}</p>",
        operation.id,
        text(operation.summary),
        called(operation),
        prose(&said(operation)),
    );
    if !operation.parameters.is_empty() {
        let rows = operation.parameters.iter().map(parameter);
        section += &table(&["parameter", "in", "what", "form"], rows);
    }
    if let Some(body) = &operation.body {
        section += &request_body(body);
    }
    let answers = operation.answers.iter().map(answer);
    section += &table(&["answer", "body", "when"], answers.chain(refusals(operation)));
    section + "</section>"
}

fn parameter(Parameter { name, place, description, schema }: &Parameter) -> String {
    let needed = if *place == Place::Path { " (required)" } else { "" };
    let place = format!("{}{needed}", place.word());
    row(&[code(name), text(&place), prose(description), shape::form(schema)])
}

fn request_body(body: &Body) -> String {
    let types: Vec<_> = body.media_types.iter().map(|media_type| code(media_type)).collect();
    format!(
        "<p>Body: {} as {}, at most {} bytes.</p><pre>{}</pre>",
        link(body.schema, body.schema),
        types.join(" or "),
        body.bytes_max,
        text(&format!("{:#}", body.example)),
    )
}

fn answer(answer: &Answer) -> String {
    let content = match answer.content {
        Content::None => "nothing".to_owned(),
        Content::Json(name) => link(name, name),
        Content::JsonOrLines(page, line) => format!(
            "{}, or lines of {} for {}",
            link(page, page),
            link(line, line),
            code("Accept: application/x-ndjson"),
        ),
        Content::JsonOrCsv(name) => {
            format!("{}, or its items as CSV for {}", link(name, name), code("Accept: text/csv"),)
        }
        Content::Events(name) => format!("{} of {}", code("text/event-stream"), link(name, name)),
        Content::Html => code("text/html"),
        Content::ForeignJson => code("application/json"),
    };
    let headers: Vec<_> = answer.headers.iter().map(|header| code(header.name())).collect();
    let with = if headers.is_empty() { "" } else { " With " };
    let when = format!("{}{with}{}", prose(answer.description), headers.join(", "));
    row(&[text(&answer.status.to_string()), content, when])
}

fn refusals(operation: &Operation) -> impl Iterator<Item = String> {
    operation.problems().into_iter().map(|kind| {
        let status = kind.status().as_u16().to_string();
        row(&[text(&status), code(kind.slug()), text(kind.title())])
    })
}
