//! The end of a sign-in: begun by the user here (RP-Initiated Logout 1.0), or by the platform
//! (Back-Channel Logout 1.0), which posts a signed token.

use portico_core::session::Timestamp;
use serde_json::Value;

use super::token::{Claims, Kind};
use super::{Client, OidcError, Provider, TokenError};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Whom the platform has logged out: one session of theirs, or, where none is named, all. At least
/// one of both is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutOf {
    /// The same as `Identity::subject`.
    pub subject: Option<String>,
    /// The same as `Identity::session_id`.
    pub session_id: Option<String>,
    /// To see whether a token comes again; a second logout of the same changes nothing, though.
    pub jti: String,
    /// Sign-ins after this are others.
    pub issued_at: Timestamp,
}

impl Provider {
    /// Where a browser is sent to log out at the platform, too. None: the platform offers no such.
    pub async fn end_session_url(
        &self,
        client: &Client,
        post_logout_redirect_uri: &str,
        state: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<String>, OidcError> {
        let document = self.document(now).await?;
        let Some(mut url) = document.end_session.clone() else { return Ok(None) };
        url.query_pairs_mut()
            .append_pair("client_id", &client.id)
            .append_pair("post_logout_redirect_uri", post_logout_redirect_uri);
        if let Some(state) = state {
            url.query_pairs_mut().append_pair("state", state);
        }
        Ok(Some(url.into()))
    }

    /// Anybody can post one, so nothing but the platform's signature makes it true.
    pub async fn logout_token(
        &self,
        client: &Client,
        token: &str,
        now: Timestamp,
    ) -> Result<LogoutOf, OidcError> {
        let blame = OidcError::LogoutToken;
        let claims = self.believed(token, Kind::Logout, &client.id, now, blame).await?;
        logout_of(&claims).map_err(blame)
    }
}

/// Back-Channel Logout 1.0 §2.6, 4 to 7.
fn logout_of(claims: &Claims) -> Result<LogoutOf, TokenError> {
    let event = claims.value("events").and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(TokenError::Claim("events"));
    }
    // It would be an id token.
    if claims.value("nonce").is_some() {
        return Err(TokenError::Kind);
    }
    let subject = claims.text("sub")?.map(str::to_owned);
    let session_id = claims.text("sid")?.map(str::to_owned);
    if subject.is_none() && session_id.is_none() {
        return Err(TokenError::Claim("sub"));
    }
    let jti = claims.text("jti")?.ok_or(TokenError::Claim("jti"))?.to_owned();
    let issued = claims.value("iat").and_then(Value::as_f64).ok_or(TokenError::Claim("iat"))?;
    let issued_at = Timestamp((issued * 1_000.0) as u64);
    Ok(LogoutOf { subject, session_id, jti, issued_at })
}
