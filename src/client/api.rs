//! Calls of the API: a request from its parts, the answer or the problem, and lists page by page.
//! It does not know what the paths mean.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response};
use portico_core::limits;
use serde_json::Value;
use serde_json::value::RawValue;

use super::connection::{Connection, Whole};
use super::failure::{Failure, Outcome, Problem};
use super::place::Place;

pub struct Api {
    connection: Connection,
}

/// A request that is being put together.
pub struct Call {
    method: Method,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Bytes>,
}

/// A 2xx.
#[derive(Debug)]
pub struct Answer {
    headers: HeaderMap,
    pub body: Bytes,
}

/// An item of a list as the API wrote it.
pub type Item = Box<RawValue>;

/// A page, and where the next one begins.
pub struct Page {
    pub items: Vec<Item>,
    next: Option<String>,
}

impl Call {
    /// `path` begins with `/v1/`; each of `names` becomes one more element of it.
    pub fn new(method: Method, path: &str, names: &[&str]) -> Self {
        let mut target = path.to_owned();
        for name in names {
            target.push('/');
            target.push_str(&encoded(name));
        }
        Self { method, target, headers: Vec::new(), body: None }
    }

    pub fn get(path: &str, names: &[&str]) -> Self {
        Self::new(Method::GET, path, names)
    }

    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        let divider = if self.target.contains('?') { '&' } else { '?' };
        self.target.push(divider);
        self.target.push_str(&format!("{name}={}", encoded(value)));
        self
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Only if it has this version still.
    #[must_use]
    pub fn if_version(self, version: Option<u64>) -> Self {
        match version {
            Some(version) => self.header("if-match", format!("\"{version}\"")),
            None => self,
        }
    }

    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.text(body.to_string())
    }

    /// JSON that somebody else wrote.
    #[must_use]
    pub fn text(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    fn request(self, connection: &Connection) -> Outcome<Request<Full<Bytes>>> {
        let target = format!("{}{}", connection.place.prefix, self.target);
        let mut builder: Builder = Request::builder().method(self.method).uri(target);
        for (name, value) in self.headers {
            // A value of the command line may be what no header can have.
            let value = HeaderValue::try_from(value)
                .with_context(|| format!("{name} cannot have this value"))
                .map_err(Failure::Usage)?;
            builder = builder.header(name, value);
        }
        if self.body.is_some() {
            builder = builder.header(header::CONTENT_TYPE, "application/json");
        }
        let mut request =
            builder.body(Full::new(self.body.unwrap_or_default())).map_err(Failure::ours)?;
        connection.dress(&mut request).map_err(Failure::Ours)?;
        Ok(request)
    }
}

impl Api {
    pub fn new(place: Place) -> Self {
        Self { connection: Connection::new(place) }
    }

    pub async fn send(&mut self, call: Call) -> Outcome<Answer> {
        let request = call.request(&self.connection)?;
        let Whole { status, headers, body } = self.connection.exchange(request).await?;
        if status.is_success() {
            return Ok(Answer { headers, body });
        }
        Err(self.refused(status.as_u16(), &headers, &body))
    }

    /// An answer that goes on. A refusal is read to its end.
    pub async fn stream(&mut self, call: Call) -> Outcome<Response<Incoming>> {
        let request = call.request(&self.connection)?;
        let response = self.connection.begin(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        // What cannot be read of a refusal does not hide it.
        let body = http_body_util::Limited::new(body, limits::API_BODY_BYTES_MAX).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        Err(self.refused(head.status.as_u16(), &head.headers, &body))
    }

    /// Follows a list from page to page, at most `items_max` items of it behind `cursor`.
    pub async fn pages(
        &mut self,
        list: impl Fn() -> Call,
        mut cursor: Option<String>,
        items_max: Option<usize>,
        mut each: impl FnMut(Page) -> Outcome,
    ) -> Outcome {
        let mut left = items_max.unwrap_or(usize::MAX);
        loop {
            let mut call = list().query("limit", &left.min(limits::PAGE_ITEMS_MAX).to_string());
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor);
            }
            let mut page = self.send(call).await?.page()?;
            page.items.truncate(left);
            left -= page.items.len();
            let next = page.next.take();
            each(page)?;
            match next {
                Some(next) if left > 0 && cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => return Ok(()),
            }
        }
    }

    fn refused(&self, status: u16, headers: &HeaderMap, body: &Bytes) -> Failure {
        let retry_after = headers.get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|after| after.to_str().ok()).map(str::to_owned);
        let json = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let mut problem = Problem::of(status, &json, retry_after);
        if problem.title.is_empty() {
            // A balancer on the way, or no Portico at all.
            problem.title = format!("{} answered {status}", self.connection.place.url());
            problem.detail = "which is not an answer of Portico's API".to_owned();
        }
        Failure::Refused(problem)
    }
}

impl Answer {
    pub fn json(&self) -> Outcome<Value> {
        serde_json::from_slice(&self.body).map_err(|error| not_portico(error.into()))
    }

    pub fn page(&self) -> Outcome<Page> {
        let parse = || -> anyhow::Result<Page> {
            let members: BTreeMap<String, Item> = serde_json::from_slice(&self.body)?;
            let items = members.get("items").ok_or_else(|| anyhow!("a list has `items`"))?;
            let next = members.get("next_cursor").map(|next| serde_json::from_str(next.get()));
            Ok(Page {
                items: serde_json::from_str(items.get())?,
                next: next.transpose()?.flatten(),
            })
        };
        parse().map_err(not_portico)
    }

    /// The entity tag without its quotes.
    pub fn version(&self) -> Option<String> {
        let tag = self.field("etag")?;
        Some(tag.trim_start_matches("W/").trim_matches('"').to_owned())
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn not_portico(error: anyhow::Error) -> Failure {
    Failure::Ours(error.context("this is not an answer of Portico's API"))
}

/// RFC 3986 §2.1, for one element of a path or one value of a query.
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_cannot_leave_their_place() {
        let call = Call::get("/v1/workspaces", &["a/b?c#d é"]).query("label", "a=b&c=d");
        assert_eq!(call.target, "/v1/workspaces/a%2Fb%3Fc%23d%20%C3%A9?label=a%3Db%26c%3Dd");
    }

    #[test]
    fn a_page_keeps_its_items_as_they_were_written() {
        let body = Bytes::from_static(b"{\"items\":[{\"b\":1, \"a\":2}],\"next_cursor\":null}");
        let page = Answer { headers: HeaderMap::new(), body }.page().unwrap();
        assert_eq!(page.items[0].get(), "{\"b\":1, \"a\":2}");
        assert_eq!(page.next, None);
        let body = Bytes::from_static(b"[]");
        assert!(Answer { headers: HeaderMap::new(), body }.page().is_err());
    }
}
