//! The request head as the session's tool gets it.

use super::client::{Client, Trust};
use super::cookie;
use super::decide::By;
use super::field::{self, Field};
use super::head::write_field;
use super::request::{BodyLength, Request};
use crate::activity::request::message_rules;
use crate::domain::Scheme;
use crate::route::Route;
use crate::session::{HostHeader, Name, Prefix};

/// Who asks, and in which fields the tool is told; nobody else may write those.
#[derive(Debug, Clone, Copy, Default)]
pub struct Identity<'a> {
    pub user: Option<&'a Name>,
    /// Besides `X-Connect-Sub`.
    pub fields: &'a [String],
}

/// In which today's tools look for who asks.
const USER_FIELD: &str = "X-Connect-Sub";

/// Appends the rewritten head to `out`.
pub fn write_request_head(
    out: &mut Vec<u8>,
    request: &Request<'_, '_>,
    route: &Route,
    by: By,
    client: &Client,
    identity: Identity<'_>,
) {
    out.extend_from_slice(request.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(target(request, route, by).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    match route.host_header {
        HostHeader::Preserve => out.extend_from_slice(request.authority.as_bytes()),
        HostHeader::Upstream => route.upstream.write_authority(out),
    }
    out.extend_from_slice(b"\r\n");

    // Where messages tell whether somebody is there they must not be compressed. It makes them
    // larger, so only where that is asked.
    let readable = route.is_watched
        && request.upgrade.is_some()
        && message_rules(route.kind, request.target.as_bytes()).read_messages();
    let mut given = Given::default();
    let listed = listed_in_connection(request);
    for (kind, header) in request.classified() {
        let unread = readable && header.name.eq_ignore_ascii_case("sec-websocket-extensions");
        if unread || identity.is_field(header.name) {
            continue;
        }
        copy_field(out, kind, header, client.trust, listed, request, &mut given);
    }
    write_forwarding(out, request, client, &given);
    if let Some(user) = identity.user {
        let fields = identity.fields.iter().map(String::as_str);
        for name in std::iter::once(USER_FIELD).chain(fields) {
            write_field(out, name, user.as_str().as_bytes());
        }
    }
    if let By::Path { prefix } = by {
        let prefix = &request.target[..prefix];
        write_field(out, "X-Forwarded-Prefix", prefix.as_bytes());
        // R-IDE builds its own URLs from this one; the others ignore it.
        write_field(out, "X-RStudio-Root-Path", prefix.as_bytes());
    }
    if request.body == BodyLength::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if let Some(protocol) = request.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
        out.extend_from_slice(protocol.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

impl Identity<'_> {
    /// Also one that CGI and WSGI take for it.
    fn is_field(&self, name: &str) -> bool {
        let alike = |(a, b): (u8, u8)| a.eq_ignore_ascii_case(&b) || (a == b'_' && b == b'-');
        self.fields
            .iter()
            .any(|field| field.len() == name.len() && name.bytes().zip(field.bytes()).all(alike))
    }
}

fn target<'b>(request: &Request<'_, 'b>, route: &Route, by: By) -> &'b str {
    match (by, route.prefix) {
        (By::Path { prefix }, Prefix::Strip) => &request.target[prefix..],
        (By::Path { .. }, Prefix::Keep) | (By::Subdomain, _) => request.target,
    }
}

/// Forwarding headers that a trusted proxy in front sent, to append to.
#[derive(Default)]
struct Given<'b> {
    forwarded_for: Vec<&'b [u8]>,
    forwarded: Vec<&'b [u8]>,
    proto: Option<&'b [u8]>,
    host: Option<&'b [u8]>,
}

fn copy_field<'b>(
    out: &mut Vec<u8>,
    kind: Field,
    header: &httparse::Header<'b>,
    trust: Trust,
    listed: bool,
    request: &Request<'_, 'b>,
    given: &mut Given<'b>,
) {
    match kind {
        Field::Connection
        | Field::TransferEncoding
        | Field::Host
        | Field::Upgrade
        | Field::HopByHop
        | Field::Proxy
        | Field::RstudioRootPath
        | Field::Ours
        | Field::Lookalike => {}
        Field::XForwardedFor
        | Field::XForwardedProto
        | Field::XForwardedHost
        | Field::Forwarded => {
            if trust == Trust::Proxy && !header.value.is_empty() {
                match kind {
                    Field::XForwardedFor => given.forwarded_for.push(header.value),
                    Field::Forwarded => given.forwarded.push(header.value),
                    Field::XForwardedHost => given.host = given.host.or(Some(header.value)),
                    _ => given.proto = given.proto.or(Some(header.value)),
                }
            }
        }
        Field::ForwardedOther => {
            // A prefix is ours to say, whoever claims one.
            let prefix = header.name.eq_ignore_ascii_case("x-forwarded-prefix");
            if trust == Trust::Proxy && !prefix {
                request.copy(header, out);
            }
        }
        Field::Cookie if cookie::has_ours(header.value) => write_cookies(out, header),
        // What ends a body or names the user is not the client's to strip by listing it.
        Field::Cookie | Field::ContentLength => request.copy(header, out),
        // HTTP/1.0 has no expectations (RFC 9110 §10.1.1), and the tool is asked in HTTP/1.1.
        Field::Expect => {
            if request.expects_continue {
                request.copy(header, out);
            }
        }
        Field::Other
        | Field::SetCookie
        | Field::Location
        | Field::ContentLocation
        | Field::Accept
        | Field::UserAgent
        | Field::ContentSecurityPolicy
        | Field::AccessControl
        | Field::ClearSiteData
        | Field::OriginWide
        | Field::Trailer => {
            if !(listed && is_listed(request, header.name)) {
                request.copy(header, out);
            }
        }
    }
}

/// Without ours; without the field where nothing is left of it.
fn write_cookies(out: &mut Vec<u8>, header: &httparse::Header<'_>) {
    let mut pairs = cookie::without_ours(header.value);
    let Some(first) = pairs.next() else { return };
    out.extend_from_slice(header.name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(first);
    for pair in pairs {
        out.extend_from_slice(b"; ");
        out.extend_from_slice(pair);
    }
    out.extend_from_slice(b"\r\n");
}

fn write_forwarding(
    out: &mut Vec<u8>,
    request: &Request<'_, '_>,
    client: &Client,
    given: &Given<'_>,
) {
    out.extend_from_slice(b"X-Forwarded-For: ");
    for value in &given.forwarded_for {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
    client.write_address(out);

    // One clean word: some tools take a list here for neither http nor https.
    let proto = given.proto.and_then(|value| field::list(value).next()).and_then(scheme);
    let proto = proto.unwrap_or(client.scheme).as_str();
    out.extend_from_slice(b"\r\nX-Forwarded-Proto: ");
    out.extend_from_slice(proto.as_bytes());

    let host = given.host.and_then(|value| field::list(value).next());
    let host = host.unwrap_or(request.authority.as_bytes());
    out.extend_from_slice(b"\r\nX-Forwarded-Host: ");
    out.extend_from_slice(host);

    out.extend_from_slice(b"\r\nForwarded: ");
    for value in &given.forwarded {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(b"for=");
    client.write_forwarded_node(out);
    // With a port it would have to stand in quotes (RFC 7239 §4), which tools do not take off
    // before they compare it with an origin (code-server); X-Forwarded-Host says it in any case.
    if !request.authority.contains(':') {
        out.extend_from_slice(b";host=");
        out.extend_from_slice(request.authority.as_bytes());
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(client.scheme.as_str().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn scheme(value: &[u8]) -> Option<Scheme> {
    if value.eq_ignore_ascii_case(b"https") {
        Some(Scheme::Https)
    } else if value.eq_ignore_ascii_case(b"http") {
        Some(Scheme::Http)
    } else {
        None
    }
}

/// Fields that a `Connection` header may not take away: they say who asks, for what, from where.
const KEPT: [&str; 8] = [
    "authorization",
    "origin",
    "accept",
    "content-type",
    "content-encoding",
    "user-agent",
    "sec-websocket-key",
    "sec-websocket-version",
];

/// Whether `Connection` lists anything but the common options.
fn listed_in_connection(request: &Request<'_, '_>) -> bool {
    request
        .classified()
        .filter(|(kind, _)| *kind == Field::Connection)
        .flat_map(|(_, header)| field::list(header.value))
        .any(|option| {
            !(option.eq_ignore_ascii_case(b"keep-alive")
                || option.eq_ignore_ascii_case(b"close")
                || option.eq_ignore_ascii_case(b"upgrade"))
        })
}

fn is_listed(request: &Request<'_, '_>, name: &str) -> bool {
    !KEPT.iter().any(|kept| name.eq_ignore_ascii_case(kept))
        && request
            .classified()
            .filter(|(kind, _)| *kind == Field::Connection)
            .flat_map(|(_, header)| field::list(header.value))
            .any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests;
