//! What the platform says of itself (OpenID Connect Discovery 1.0). Read once into a document whose
//! URLs may be used: each is `https` unless the issuer itself is plain, as on a test machine.

use axum::http::{Request, StatusCode};
use http_body_util::Full;
use portico_core::limits;
use serde::Deserialize;
use url::Url;

use super::answer::{call, json};
use super::{ClientAuth, Fault, OidcError, Place, SettingsError, Step};
use crate::outbound::Outbound;

const WELL_KNOWN: &str = "/.well-known/openid-configuration";

#[derive(Debug)]
pub struct Document {
    /// As the platform writes it, and so as tokens have it.
    pub issuer: String,
    pub authorization: Url,
    pub token: Url,
    pub keys: Url,
    pub user_info: Option<Url>,
    pub registration: Option<Url>,
    pub end_session: Option<Url>,
    pub grants_refresh: bool,
    /// Methods that we speak, in the platform's order.
    pub client_auth: Vec<ClientAuth>,
    /// Names of RFC 7518 and 8037 with which id tokens may be signed.
    pub signed_by: Vec<String>,
    /// RFC 9207: a callback without `iss` is forged.
    pub names_issuer: bool,
    pub backchannel_logout: bool,
    pub backchannel_logout_session: bool,
}

#[derive(Deserialize)]
struct Wire {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    registration_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    grant_types_supported: Option<Vec<String>>,
    response_types_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
    backchannel_logout_supported: Option<bool>,
    backchannel_logout_session_supported: Option<bool>,
}

/// The issuers that a setting may mean, without a slash at the end.
pub fn candidates(place: &Place) -> Result<Vec<String>, SettingsError> {
    let (Place::Issuer(text) | Place::Platform(text)) = place;
    let base = text.trim().trim_end_matches('/');
    let url = Url::parse(base).map_err(|_| SettingsError::Place)?;
    let scheme_is_known = matches!(url.scheme(), "http" | "https");
    if !scheme_is_known || !is_plain_place(&url) || url.query().is_some() {
        return Err(SettingsError::Place);
    }
    Ok(match place {
        Place::Issuer(_) => vec![base.to_owned()],
        Place::Platform(_) => vec![base.to_owned(), format!("{base}/api")],
    })
}

/// The first candidate that has a document of its own. A platform may answer any path with its
/// start page, so a document that is none is as good as one that is missing.
pub async fn discover(outbound: &Outbound, issuers: &[String]) -> Result<Document, OidcError> {
    let mut telling = OidcError::Settings(SettingsError::Place);
    for issuer in issuers {
        match fetch(outbound, issuer).await {
            Ok(document) => return Ok(document),
            // The others are on the same host.
            Err(error) if error.fault() == Fault::PlatformAway => return Err(error),
            Err(error) => {
                // Of an issuer that was found and is another one an operator learns most.
                if !matches!(telling, OidcError::OtherIssuer { .. } | OidcError::Answer { .. }) {
                    telling = error;
                }
            }
        }
    }
    Err(telling)
}

async fn fetch(outbound: &Outbound, issuer: &str) -> Result<Document, OidcError> {
    let request = Request::get(format!("{issuer}{WELL_KNOWN}")).body(Full::default());
    let request = request.map_err(|_| OidcError::Settings(SettingsError::Place))?;
    let reply = call(outbound, Step::Discovery, request).await?;
    if reply.status != StatusCode::OK {
        return Err(OidcError::Status { step: Step::Discovery, status: reply.status.as_u16() });
    }
    parse(issuer, json(Step::Discovery, &reply.body)?)
}

fn parse(asked: &str, wire: Wire) -> Result<Document, OidcError> {
    let wrong = |reason| OidcError::Answer { step: Step::Discovery, reason };
    // Discovery §4.3, but for a slash at the end, which an operator may write or leave out.
    if wire.issuer.trim_end_matches('/') != asked {
        return Err(OidcError::OtherIssuer {
            asked: asked.to_owned(),
            found: super::answer::cleaned(&wire.issuer),
        });
    }
    let plain = asked.starts_with("http:");
    let endpoint = |text: String| {
        let url = (text.len() <= limits::OIDC_URL_BYTES_MAX).then(|| Url::parse(&text).ok());
        url.flatten()
            .filter(|url| url.scheme() == "https" || plain && url.scheme() == "http")
            .filter(is_plain_place)
            .ok_or_else(|| wrong("an endpoint is not an https URL"))
    };
    let optional = |text: Option<String>| text.map(endpoint).transpose();
    let has = |list: &Option<Vec<String>>, word: &str, default: bool| {
        list.as_ref().map_or(default, |list| list.iter().any(|each| each == word))
    };
    if !has(&wire.response_types_supported, "code", true) {
        return Err(wrong("it does not support the authorization code flow"));
    }
    let methods = wire.token_endpoint_auth_methods_supported.as_ref();
    Ok(Document {
        authorization: endpoint(wire.authorization_endpoint)?,
        token: endpoint(wire.token_endpoint)?,
        keys: endpoint(wire.jwks_uri)?,
        user_info: optional(wire.userinfo_endpoint)?,
        registration: optional(wire.registration_endpoint)?,
        end_session: optional(wire.end_session_endpoint)?,
        grants_refresh: has(&wire.grant_types_supported, "refresh_token", false),
        // Discovery §3: this one where it says nothing.
        client_auth: methods.map_or(vec![ClientAuth::Basic], |words| {
            words.iter().filter_map(|word| ClientAuth::parse(word)).collect()
        }),
        signed_by: wire
            .id_token_signing_alg_values_supported
            .unwrap_or_else(|| vec!["RS256".to_owned()]),
        names_issuer: wire.authorization_response_iss_parameter_supported.unwrap_or(false),
        backchannel_logout: wire.backchannel_logout_supported.unwrap_or(false),
        backchannel_logout_session: wire.backchannel_logout_session_supported.unwrap_or(false),
        issuer: wire.issuer,
    })
}

fn is_plain_place(url: &Url) -> bool {
    let nobody = url.username().is_empty() && url.password().is_none();
    nobody && url.has_host() && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(issuer: &str, token: &str) -> Result<Document, OidcError> {
        let wire = serde_json::json!({
            "issuer": issuer,
            "authorization_endpoint": "https://platform.example.com/authorize",
            "token_endpoint": token,
            "jwks_uri": "https://platform.example.com/keys",
        });
        parse("https://platform.example.com", serde_json::from_value(wire).unwrap())
    }

    #[test]
    fn a_document_is_of_the_issuer_that_was_asked_for() {
        let token = "https://platform.example.com/token";
        for issuer in ["https://platform.example.com", "https://platform.example.com/"] {
            let document = document(issuer, token).unwrap();
            assert_eq!(document.issuer, issuer);
            assert_eq!(document.client_auth, [ClientAuth::Basic]);
        }
        for issuer in ["https://platform.example.com/api", "http://platform.example.com", ""] {
            let error = document(issuer, token).unwrap_err();
            assert!(matches!(error, OidcError::OtherIssuer { .. }), "{issuer}");
        }
    }

    #[test]
    fn endpoints_are_as_safe_as_the_issuer() {
        for token in ["http://platform.example.com/t", "file:///t", "/t", "https://u:p@h/t"] {
            let error = document("https://platform.example.com", token).unwrap_err();
            assert_eq!(error.fault(), Fault::PlatformWrong, "{token}");
        }
    }

    #[test]
    fn a_platform_has_two_places_to_look_and_an_issuer_one() {
        let places = candidates(&Place::Platform("https://p.example.com/".into())).unwrap();
        assert_eq!(places, ["https://p.example.com", "https://p.example.com/api"]);
        let places = candidates(&Place::Issuer("https://p.example.com/realm/".into())).unwrap();
        assert_eq!(places, ["https://p.example.com/realm"]);
        for bad in ["p.example.com", "ftp://p", "https://u@p", "https://p/?a", "https://p/#a"] {
            assert_eq!(candidates(&Place::Issuer(bad.into())), Err(SettingsError::Place), "{bad}");
        }
    }
}
