//! Who may open which session. What contradicts itself is a mistake: somebody believes that a gate
//! is shut.

use std::time::Duration;

use portico_core::access::{AllowedOrigins, Gate, Mode, Policy};
use portico_core::domain::{Domains, Origin as Url, Scheme};
use portico_core::limits;

use super::{files, parse};
use crate::settings::collect::Collected;
use crate::settings::mistake::Wrong;
use crate::settings::value::Value;
use crate::settings::{AccessSettings, ClientSource, Issuer, Note, Secret, SignIn, Webhook};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `domains` is known unless it has mistakes of its own.
pub fn access(c: &mut Collected, domains: Option<&Domains>) -> Option<AccessSettings> {
    let mode = c.read("access.mode", |value| match value.text() {
        "closed" => Ok(Mode::Closed),
        "open" => Ok(Mode::Open),
        _ => Err(parse::not_one_of(value, "closed, open")),
    });
    let policy = c.read("access.default_policy", |value| {
        value.text().parse::<Policy>().map_err(|_| parse::not_one_of(value, Policy::WORDS))
    });
    let public_sessions = switch(c, "access.public_sessions");
    let path_sharing = switch(c, "access.path_sharing");
    let identity_fields = c.read("access.identity_headers", identity_headers);
    let origins = c.read("access.allowed_origins", allowed_origins);
    let lifetimes = [
        ("access.grant_lifetime", MINUTE, DAY),
        ("access.login_lifetime", 5 * MINUTE, limits::LOGIN_LIFETIME_MAX),
        ("access.key_lifetime", 60 * MINUTE, 90 * DAY),
    ];
    let lifetimes = lifetimes
        .map(|(name, from, to)| c.read(name, |value| parse::lifetime(value, from, to)).flatten());
    let sign_in = sign_in(c);
    let webhook = webhook(c);
    let ca_file = c.read("access.ca_file", files::authorities);
    let [grant_lifetime, login_lifetime, key_lifetime] = lifetimes;
    keys_are_few(c, login_lifetime, key_lifetime);
    let (mode, policy) = (mode??, policy??);
    let mut origins = origins?.unwrap_or_default();
    let platform = c.entry("platform_url").value.as_ref().map(Value::text);
    origins.extend(platform.and_then(|url| Url::parse(url).ok()));
    let sign_in = sign_in?;
    let gate = Gate {
        mode,
        sign_in: sign_in.is_some(),
        grant_lifetime: grant_lifetime?,
        public_sessions: public_sessions?,
        path_sharing: path_sharing?,
        identity_fields: identity_fields?.unwrap_or_default(),
        origins: AllowedOrigins::new(origins),
    };
    check(c, &gate, policy, domains);
    Some(AccessSettings {
        gate,
        default_policy: policy,
        login_lifetime: login_lifetime?,
        key_lifetime: key_lifetime?,
        sign_in,
        webhook: webhook?,
        ca_file: ca_file?,
    })
}

/// All that can still have signed something are kept.
fn keys_are_few(c: &mut Collected, login: Option<Duration>, key: Option<Duration>) {
    let (Some(login), Some(key)) = (login, key) else { return };
    let least = login / (limits::SIGNING_KEYS_MAX as u32 / 2);
    if key < least {
        let least = humantime::format_duration(Duration::from_secs(least.as_secs() + 1));
        let wrong = "is so short that too many keys would be kept for access.login_lifetime";
        let wrong = Wrong::new(wrong, format!("write at least {least}, or shorten that one"));
        c.mistake("access.key_lifetime", c.origin("access.key_lifetime"), wrong);
    }
}

fn check(c: &mut Collected, gate: &Gate, policy: Policy, domains: Option<&Domains>) {
    if policy == Policy::Public && !gate.public_sessions {
        let wrong = Wrong::new(
            "is public, which sessions may not be",
            "set access.public_sessions = true, or choose another policy",
        );
        c.mistake("access.default_policy", c.origin("access.default_policy"), wrong);
    }
    if !gate.is_closed() {
        let origin = &c.entry("access.mode").origin;
        let note = format!(
            "access.mode is open (from {origin}): whoever reaches this process opens every session"
        );
        return c.notes.push(Note::Warning(note));
    }
    if let Some(domains) = domains
        && domains.connect.scheme == Scheme::Http
        && !is_local(&domains.connect.host)
    {
        // Browsers keep the cookies of a sign-in from anybody on the way only with TLS.
        let wrong = Wrong::new(
            "is plain HTTP, and access.mode is closed: browsers keep no grants without TLS",
            "write https, also where a load balancer ends TLS, or set access.mode = \"open\"",
        );
        c.mistake("connect_url", c.origin("connect_url"), wrong);
    }
    if gate.path_sharing {
        let note = "access.path_sharing is on: all sessions under /_studio/ are one origin to a \
                    browser, so that the tool of each can do in the others, and at the sign-in, \
                    what its viewer can. Use subdomains to share sessions";
        c.notes.push(Note::Warning(note.to_owned()));
    }
}

/// Browsers take the machine itself for safe without TLS.
fn is_local(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || host.starts_with("127.")
}

fn switch(c: &mut Collected, name: &str) -> Option<bool> {
    c.read(name, |value| parse::switch(value.text())).flatten()
}

fn identity_headers(value: &Value) -> Result<Vec<String>, Wrong> {
    let fix = "write names such as X-Forwarded-User or Remote-User";
    for name in value.list() {
        if name.is_empty() || !name.bytes().all(portico_core::http::field::is_token) {
            return Err(Wrong::new(format!("`{name}` is not the name of a header"), fix));
        }
        if is_spoken_for(name) {
            let wrong = format!("`{name}` has a meaning of its own in HTTP, or to Portico");
            return Err(Wrong::new(wrong, fix));
        }
    }
    Ok(value.list().to_vec())
}

/// What a tool is told elsewhere, or would take for something else.
fn is_spoken_for(name: &str) -> bool {
    use portico_core::http::field::{Field, classify};
    let known = ["origin", "range", "content-type", "content-encoding", "sec-websocket-key"];
    match classify(name.as_bytes()) {
        Field::Other | Field::ForwardedOther => {
            known.iter().any(|known| name.eq_ignore_ascii_case(known))
        }
        _ => true,
    }
}

fn allowed_origins(value: &Value) -> Result<Vec<Url>, Wrong> {
    let origin = |text: &String| {
        Url::parse(text).map_err(|error| {
            Wrong::new(error.to_string(), "write scheme and host, as in https://app.example.com")
        })
    };
    value.list().iter().map(origin).collect()
}

fn sign_in(c: &mut Collected) -> Option<Option<SignIn>> {
    let issuer = c.read("access.issuer", url);
    let client_id = c.read("access.client_id", |value| not_empty(value.text()));
    let client_secret = secret(c, "access.client_secret", "access.client_secret_file");
    let token = secret(c, "access.registration_token", "access.registration_token_file");
    let client_name = c.read("access.client_name", |value| not_empty(value.text()));
    let user_claim = c.read("access.user_claim", |value| not_empty(value.text()));
    let workspaces_claim = c.read("access.workspaces_claim", |value| not_empty(value.text()));
    let scopes = c.read("access.scopes", scopes);
    let (client_id, client_secret) = (client_id?, client_secret?);
    let client = match (client_id, client_secret, token?) {
        (Some(id), Some(secret), _) => ClientSource::Fixed { id, secret },
        (Some(_), None, _) => {
            let wrong = Wrong::new("has no secret", "set access.client_secret_file");
            c.mistake("access.client_id", c.origin("access.client_id"), wrong);
            return None;
        }
        (None, Some(_), _) => {
            let wrong = Wrong::new("belongs to no client", "set access.client_id, or remove it");
            c.mistake("access.client_secret", c.origin("access.client_secret"), wrong);
            return None;
        }
        (None, None, Some(token)) => ClientSource::Registers(token),
        (None, None, None) => return Some(None),
    };
    let platform = c.entry("platform_url").value.as_ref().map(|value| value.text().to_owned());
    let issuer = match (issuer?, platform) {
        (Some(issuer), _) => Issuer::Given(issuer),
        (None, Some(platform)) => Issuer::OfPlatform(platform.trim_end_matches('/').to_owned()),
        (None, None) => {
            let wrong = Wrong::new(
                "is missing: there is nowhere to sign in",
                "set it, or \
                                    access.issuer",
            );
            c.mistake("platform_url", None, wrong);
            return None;
        }
    };
    Some(Some(SignIn {
        issuer,
        client,
        client_name: client_name??,
        scopes: scopes??,
        user_claim: user_claim??,
        workspaces_claim: workspaces_claim??,
    }))
}

fn webhook(c: &mut Collected) -> Option<Option<Webhook>> {
    let webhook = c.read("access.webhook_url", url);
    let token = secret(c, "access.webhook_token", "access.webhook_token_file");
    let timeout = c.read("access.webhook_timeout", |value| {
        parse::lifetime(value, Duration::from_millis(100), Duration::from_secs(30))
    });
    let (timeout, token) = (timeout??, token?);
    Some(webhook?.map(|url| Webhook { url, token, timeout }))
}

fn scopes(value: &Value) -> Result<Vec<String>, Wrong> {
    let scopes = value.list().to_vec();
    match scopes.iter().any(|scope| scope == "openid") {
        true => Ok(scopes),
        false => Err(Wrong::new("lacks openid", "add it: without it nobody is told who signed in")),
    }
}

/// An http(s) URL with a path, kept as it is written: an issuer is compared by its letters.
fn url(value: &Value) -> Result<String, Wrong> {
    let text = value.text();
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let visible = text.bytes().all(|b| b.is_ascii_graphic());
    match authority {
        Some(authority) if visible && !authority.is_empty() && !authority.contains('@') => {
            Ok(text.to_owned())
        }
        _ => Err(Wrong::new("is not an http or https URL", "write https://host/path")),
    }
}

fn not_empty(text: &str) -> Result<String, Wrong> {
    match text.trim() {
        "" => Err(Wrong::new("is empty", "write it, or remove the setting")),
        text => Ok(text.to_owned()),
    }
}

/// A secret, or the file that holds it.
fn secret(c: &mut Collected, name: &'static str, file: &'static str) -> Option<Option<Secret>> {
    let given = c.read(name, |value| not_empty(value.text()));
    let kept = c.read(file, files::password);
    match (given?, kept?) {
        (Some(_), Some(_)) => {
            let wrong = Wrong::new(format!("is set beside {file}"), "keep one of the two");
            c.mistake(name, c.origin(name), wrong);
            None
        }
        (given, kept) => Some(given.or(kept).map(Secret)),
    }
}
