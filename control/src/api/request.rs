//! What several handlers read of a request: a JSON body, a query, a name in the path, and the
//! conditions under which it is to be done.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, Request};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use portico_core::limits;
use portico_core::record::Version;
use portico_core::session::Name;

use super::fields::Fields;
use super::problem::{Kind, Problem};
use crate::store::Position;

pub type TextPath = Result<Path<String>, PathRejection>;

/// A body of JSON, bounded in size and time.
pub async fn json_body(request: Request, bytes_max: usize) -> Result<Bytes, Problem> {
    let media_type = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !media_type.is_some_and(is_json) {
        let detail = "send the body with `Content-Type: application/json`";
        return Err(Problem::new(Kind::WrongMediaType, detail));
    }
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared: Option<u64> = declared.and_then(|length| length.to_str().ok()?.parse().ok());
    let too_large = || {
        let detail = format!("a body has at most {bytes_max} bytes here");
        Problem::new(Kind::LargeBody, detail)
    };
    if declared.is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(too_large());
    }
    read(request.into_body(), bytes_max, too_large).await
}

async fn read(
    body: Body,
    bytes_max: usize,
    too_large: impl Fn() -> Problem,
) -> Result<Bytes, Problem> {
    match tokio::time::timeout(limits::API_BODY_TIMEOUT, to_bytes(body, bytes_max)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_length(&error) => Err(too_large()),
        Ok(Err(error)) => Err(Problem::new(Kind::MalformedBody, error.to_string())),
        Err(_) => {
            let seconds = limits::API_BODY_TIMEOUT.as_secs();
            Err(Problem::new(Kind::SlowBody, format!("it had {seconds} seconds to arrive")))
        }
    }
}

fn is_length(error: &axum::Error) -> bool {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.into_iter().any(|cause| cause.is::<http_body_util::LengthLimitError>())
}

/// `application/json` or a type built on it (RFC 6839 §3.1), such as
/// `application/merge-patch+json`.
fn is_json(media_type: &[u8]) -> bool {
    let essence = media_type.split(|b| *b == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    essence == b"application/json"
        || (essence.starts_with(b"application/") && essence.ends_with(b"+json"))
}

pub fn query(uri: &Uri) -> Result<Fields, Problem> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|error| Problem::new(Kind::InvalidRequest, error.body_text()))?;
    Ok(Fields::from_query(pairs))
}

/// For what has no parameters: one that is sent is not ignored in silence.
pub fn no_query(uri: &Uri) -> Result<(), Problem> {
    let mut fields = query(uri)?;
    match fields.complete("is not a parameter here") {
        true => Ok(()),
        false => Err(fields.into_problem()),
    }
}

/// What cannot be a name is the name of nothing.
pub fn name(path: TextPath) -> Result<Name, Problem> {
    let name = path.ok().and_then(|Path(text)| text.parse().ok());
    name.ok_or_else(|| Problem::new(Kind::Unknown, "there is nothing of this name"))
}

/// A place in the change log: digits and nothing else.
pub fn position(text: &str) -> Option<Position> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).map(Position)
}

/// A name as a part of a path, for `Location` (RFC 3986 §2.3): names have characters that would end
/// the path or be taken for an escape.
pub fn in_path(name: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.bytes().map(escaped).collect()
}

/// The items that a page may have: a number from 1 to `limits::PAGE_ITEMS_MAX`.
pub fn page_limit(fields: &mut Fields) -> usize {
    const MAX: u64 = limits::PAGE_ITEMS_MAX as u64;
    let limit = fields.checked("limit", |text| match position(text) {
        Some(Position(limit @ 1..=MAX)) => Ok(limit as usize),
        _ => Err(format!("must be a number from 1 to {MAX}")),
    });
    limit.unwrap_or(limits::PAGE_ITEMS_DEFAULT)
}

/// `If-Match` (RFC 9110 §13.1.1).
pub enum Wanted {
    Any,
    /// One of these entity tags; what is not one of ours matches nothing.
    OneOf(Vec<Version>),
}

impl Wanted {
    pub fn of(headers: &HeaderMap) -> Self {
        let fields: Vec<_> = headers.get_all(header::IF_MATCH).iter().collect();
        if fields.is_empty() {
            return Self::Any;
        }
        let tags = fields.iter().filter_map(|field| field.to_str().ok());
        let tags: Vec<_> = tags.flat_map(|field| field.split(',')).map(str::trim).collect();
        if tags.contains(&"*") {
            return Self::Any;
        }
        let version = |tag: &str| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
        Self::OneOf(tags.into_iter().filter_map(version).map(Version).collect())
    }

    /// The version that a write is to find: none where any will do, and then nobody has to look
    /// which one there is.
    pub async fn expected(
        &self,
        now: impl Future<Output = Result<Version, Problem>>,
    ) -> Result<Option<Version>, Problem> {
        if let Self::Any = self {
            return Ok(None);
        }
        let now = now.await?;
        self.check(now)?;
        Ok(Some(now))
    }

    pub fn check(&self, now: Version) -> Result<(), Problem> {
        match self {
            Self::Any => Ok(()),
            Self::OneOf(versions) if versions.contains(&now) => Ok(()),
            Self::OneOf(_) => {
                let detail = format!("the entity tag is \"{}\"", now.0);
                Err(Problem::new(Kind::VersionMismatch, detail))
            }
        }
    }
}
