//! The Platform: that it answers, what it says of itself as an OpenID provider, and its clock.

use std::sync::Arc;
use std::time::SystemTime;

use axum::http::Request;
use http_body_util::Full;
use portico_control::oidc::{Described, OidcError};
use portico_control::outbound::Outbound;
use portico_control::store::Author;
use portico_core::limits;

use super::line::Line;
use super::{Plan, clock};
use crate::replica::access;
use crate::settings::{ClientSource, Issuer, SignIn};

const PLATFORM: &str = "platform";
const SIGN_IN: &str = "platform.sign_in";
const CLOCK: &str = "clock.platform";

pub async fn check(plan: Arc<Plan>) -> Vec<Line> {
    let access = &plan.settings.access;
    let given = access.sign_in.as_ref().map(|sign_in| match &sign_in.issuer {
        Issuer::Given(url) | Issuer::OfPlatform(url) => url.clone(),
    });
    let Some(url) = plan.platform_url.clone().or(given) else { return Vec::new() };
    let outbound = match access::outbound(access) {
        Ok(outbound) => outbound,
        Err(failure) => {
            let fix = "correct access.ca_file";
            return vec![Line::settings(PLATFORM, url, failure.to_string(), fix)];
        }
    };
    let signs_in = access.sign_in.as_ref().filter(|_| access.gate.is_closed());
    let described = async {
        match signs_in {
            Some(sign_in) => Some(sign_in_line(sign_in, &outbound).await),
            None => None,
        }
    };
    let (mut lines, sign_in) = tokio::join!(reached(&outbound, url), described);
    lines.extend(sign_in);
    lines
}

async fn reached(outbound: &Outbound, url: String) -> Vec<Line> {
    let Ok(request) = Request::head(&url).body(Full::default()) else {
        return vec![Line::settings(PLATFORM, url, "it is no URL", "correct platform_url")];
    };
    let reply = match outbound.call(request, limits::OIDC_CALL_TIMEOUT).await {
        Ok(reply) => reply,
        Err(error) => {
            let detail = format!("{:#}", anyhow::Error::from(error));
            let fix = match detail.contains("certificate") {
                true => "give access.ca_file the certificate of who signed the Platform's",
                false => {
                    "correct platform_url, or let this machine reach it: name, route, firewall"
                }
            };
            return vec![Line::machine(PLATFORM, url, detail, fix)];
        }
    };
    let date = reply.date.as_ref().and_then(|date| date.to_str().ok());
    let ahead = date.and_then(|date| clock::ahead_ms(date, SystemTime::now()));
    let compared = ahead.map(|ahead| clock::compared(CLOCK, url.clone(), ahead));
    let status = reply.status;
    let line = match status.is_server_error() {
        true => {
            let fix = "look why the Platform, or the balancer before it, fails";
            Line::warning(PLATFORM, url, format!("it answers with {status}"), fix)
        }
        false => Line::ok(PLATFORM, url, format!("it answers ({status})")),
    };
    [line].into_iter().chain(compared).collect()
}

async fn sign_in_line(sign_in: &SignIn, outbound: &Outbound) -> Line {
    let (Issuer::Given(place) | Issuer::OfPlatform(place)) = &sign_in.issuer;
    let provider = match access::provider(sign_in, outbound) {
        Ok(provider) => provider,
        Err(failure) => {
            let fix = "correct access.issuer, or platform_url";
            return Line::settings(SIGN_IN, place, failure.to_string(), fix);
        }
    };
    let described = match provider.described(Author::portico().at).await {
        Ok(described) => described,
        Err(error) => return undescribed(place, error),
    };
    let Described { issuer, registers_clients, tells_logout } = described;
    if matches!(sign_in.client, ClientSource::Registers(_)) && !registers_clients {
        let detail =
            format!("{issuer} has no registration_endpoint: Portico cannot register there");
        let fix = "register a client by hand, and set access.client_id and \
                   access.client_secret_file";
        return Line::settings(SIGN_IN, place, detail, fix);
    }
    if provider.is_plain() {
        let fix = "use https";
        return Line::warning(SIGN_IN, place, "sign-ins travel without TLS", fix);
    }
    let logout = if tells_logout { "tells of logouts" } else { "does not tell of logouts" };
    Line::ok(SIGN_IN, place, format!("the issuer is {issuer}, which {logout}"))
}

fn undescribed(place: &str, error: OidcError) -> Line {
    let fix = match &error {
        OidcError::OtherIssuer { found, .. } => {
            format!("set access.issuer = \"{found}\", if that is your Platform's")
        }
        OidcError::NoAnswer { .. } => "let this machine reach it: name, route, firewall".to_owned(),
        _ => "set access.issuer to the URL below which /.well-known/openid-configuration is"
            .to_owned(),
    };
    let is_away = matches!(&error, OidcError::NoAnswer { .. });
    let detail = format!("{:#}", anyhow::Error::from(error));
    match is_away {
        true => Line::machine(SIGN_IN, place, detail, fix),
        false => Line::settings(SIGN_IN, place, detail, fix),
    }
}
