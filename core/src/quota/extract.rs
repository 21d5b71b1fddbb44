//! What a request is counted in: of each bucket the value that its first fitting extractor yields.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use httparse::Header;
use ipnet::IpNet;
use serde_json::Value as Json;

use super::policy::{Bucket, Policy, Source, TokenPlace, Unverified};
use crate::http::cookie;
use crate::limits;

/// What the edge knows of a request when it is let in.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub fields: &'a [Header<'a>],
    /// Who sends it, as `client_address` says: not the proxy in front.
    pub client: IpAddr,
    /// It came through a trusted network.
    pub is_trusted: bool,
    pub workspace: &'a str,
    pub session: &'a str,
    /// None where the gate is elsewhere, and for a public session's guests.
    pub user: Option<&'a str>,
}

/// What an account of a bucket is named by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value<'a> {
    pub text: Cow<'a, str>,
    /// Not for logs: text that a client chose, or that somebody may not want read.
    pub is_private: bool,
}

impl Policy {
    /// The buckets that it is counted in, by their place, each with the value.
    pub fn extract<'a>(
        &'a self,
        known: &'a Known<'a>,
    ) -> impl Iterator<Item = (usize, Value<'a>)> + 'a {
        let valued = |(at, bucket): (usize, &'a Bucket)| Some((at, bucket.value(known)?));
        self.buckets.iter().enumerate().filter_map(valued)
    }
}

impl Bucket {
    pub fn value<'a>(&self, known: &Known<'a>) -> Option<Value<'a>> {
        let extractors = self.extractors.iter().filter(|extractor| extractor.applies());
        extractors.map(|extractor| &extractor.source).find_map(|source| source.value(known))
    }
}

/// The value of a bucket for a connection whose request is over: its fields are not known.
pub(super) enum Recalled<'a> {
    Value(Value<'a>),
    /// As when it was let in.
    OfFields,
    Nothing,
}

impl Bucket {
    /// The first extractor that yields something decides, as for `value`; from the first one on
    /// that may have yielded something of a field, nothing else is known.
    pub(super) fn recall<'a>(&self, known: &Known<'a>) -> Recalled<'a> {
        for extractor in self.extractors.iter().filter(|extractor| extractor.applies()) {
            if extractor.source.is_of_fields(known) {
                return Recalled::OfFields;
            }
            if let Some(value) = extractor.source.value(known) {
                return Recalled::Value(value);
            }
        }
        Recalled::Nothing
    }
}

impl Source {
    fn is_of_fields(&self, known: &Known<'_>) -> bool {
        match self {
            Self::Header { .. } => true,
            Self::Jwt { unverified: Unverified::OfTrusted, .. } => known.is_trusted,
            Self::Jwt { unverified: Unverified::OfAnybody, .. } => true,
            Self::Permissions { .. }
            | Self::ClientIp
            | Self::Workspace
            | Self::Session
            | Self::User => false,
        }
    }

    pub(super) fn value<'a>(&self, known: &Known<'a>) -> Option<Value<'a>> {
        let text = match self {
            Self::Header { name } => {
                let value = named(known.fields, name).ok()??.trim_ascii();
                match is_credential(name) && !value.is_empty() {
                    true => Cow::Owned(hashed(value)),
                    false => bounded(value)?,
                }
            }
            Self::Jwt { token, claim, unverified } => match unverified {
                Unverified::OfTrusted if !known.is_trusted => return None,
                Unverified::OfTrusted | Unverified::OfAnybody => {
                    Cow::Owned(claimed(token.find(known.fields).ok()??, claim)?)
                }
            },
            Self::ClientIp => Cow::Owned(network(known.client)),
            Self::Workspace => bounded(known.workspace.as_bytes())?,
            Self::Session => bounded(known.session.as_bytes())?,
            Self::User => bounded(known.user?.as_bytes())?,
            Self::Permissions { .. } => return None,
        };
        Some(Value { text, is_private: self.is_private() })
    }
}

/// There are two of one name. Which of them whoever stands behind us, or has checked a token, goes
/// by is not known, so neither is taken.
struct Ambiguous;

impl TokenPlace {
    fn find<'a>(&self, fields: &[Header<'a>]) -> Result<Option<&'a [u8]>, Ambiguous> {
        match self {
            Self::Field(name) => named(fields, name),
            Self::Cookie(name) => cookie(fields, name),
            Self::Either(name) => match named(fields, name)? {
                Some(value) => Ok(Some(value)),
                None => cookie(fields, name),
            },
        }
    }
}

fn named<'a>(fields: &[Header<'a>], name: &str) -> Result<Option<&'a [u8]>, Ambiguous> {
    let fields = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    only(fields.map(|field| field.value))
}

fn cookie<'a>(fields: &[Header<'a>], name: &str) -> Result<Option<&'a [u8]>, Ambiguous> {
    let fields = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("cookie"));
    let pairs = fields.flat_map(|field| cookie::pairs(field.value));
    only(pairs.filter(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value))
}

fn only<'a>(mut all: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a [u8]>, Ambiguous> {
    match (all.next(), all.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(Ambiguous),
    }
}

/// Who sent a request that came through trusted proxies: the last one whom they name who is none of
/// them. What stands before that one is what he wrote himself.
pub fn client_address(peer: IpAddr, fields: &[Header<'_>], trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|network| network.contains(ip));
    let mut last = peer.to_canonical();
    let fields = fields.iter().rev();
    let named = fields
        .filter(|field| field.name.eq_ignore_ascii_case("x-forwarded-for"))
        .flat_map(|field| field.value.rsplit(|byte| *byte == b','));
    for element in named {
        if !is_trusted(&last) {
            break;
        }
        // What is no address was written by a proxy that is better not passed over.
        match std::str::from_utf8(element).ok().and_then(|text| forwarded(text.trim())) {
            Some(address) => last = address.to_canonical(),
            None => break,
        }
    }
    last
}

/// An address, as some proxies write it also with a port, or in the brackets of a URL.
fn forwarded(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse().ok().map(|with: SocketAddr| with.ip()));
    address.or_else(|| bare().map(IpAddr::V6))
}

/// Of IPv6 the network that one household has, in which it takes any address that it likes.
fn network(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            let network = Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0);
            format!("{network}/64")
        }
    }
}

/// A claim of a token whose signature nobody here has checked.
fn claimed(token: &[u8], claim: &str) -> Option<String> {
    if token.len() > limits::QUOTA_TOKEN_BYTES_MAX {
        return None;
    }
    let token = token.trim_ascii();
    let token = match token.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest.trim_ascii(),
        Some(_) | None => token,
    };
    let mut parts = token.split(|byte| *byte == b'.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let payload: Json = serde_json::from_slice(&BASE64URL_NOPAD.decode(payload).ok()?).ok()?;
    match payload.get(claim)? {
        Json::String(text) => bounded(text.as_bytes()).map(Cow::into_owned),
        Json::Number(number) => Some(number.to_string()),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// As it is where it is short text; nothing where it is empty.
fn bounded(value: &[u8]) -> Option<Cow<'_, str>> {
    match std::str::from_utf8(value) {
        Ok("") => None,
        Ok(text)
            if text.len() <= limits::QUOTA_VALUE_BYTES_MAX && !text.contains(char::is_control) =>
        {
            Some(Cow::Borrowed(text))
        }
        Ok(_) | Err(_) => Some(Cow::Owned(hashed(value))),
    }
}

/// The same for the same value, on every replica; 128 bits are enough to tell values apart.
pub(super) fn hashed(value: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(&digest(&SHA256, value).as_ref()[..16]))
}

/// Whether a field of this name holds what opens doors, which neither store nor API shall show.
fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "cookie", "token", "key", "secret", "password", "session", "jwt"]
        .iter()
        .any(|word| name.contains(word))
}

#[cfg(test)]
#[path = "tests/extract.rs"]
mod tests;
