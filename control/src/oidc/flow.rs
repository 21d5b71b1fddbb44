//! The authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636, OpenID Connect Core §3.1): where
//! a browser is sent, what its code is exchanged for, and how a sign-in is refreshed without it.

use axum::http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use portico_core::limits;
use portico_core::session::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;
use url::Url;

use super::answer::{call, json_of_secrets, refusal};
use super::discovery::Document;
use super::identity::{Identity, Missing, identity};
use super::token::{Claims, Kind};
use super::{CallbackError, Client, OidcError, Provider, Step, TokenError, Verifier};
use crate::secret::Secret;

#[derive(Debug, Clone, Copy)]
pub struct AuthorizeRequest<'a> {
    /// Random: binds the callback to the browser.
    pub state: &'a str,
    /// Random: binds the id token to this sign-in.
    pub nonce: &'a str,
    /// `Verifier::challenge`.
    pub challenge: &'a str,
    /// With spaces between; `openid` is added where it is missing.
    pub scopes: &'a str,
    pub prompt: Option<Prompt>,
}

/// OpenID Connect Core §3.1.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// Do not ask: who is not signed in comes back with `login_required`.
    None,
    Login,
    /// Some platforms give a refresh token only after this.
    Consent,
    SelectAccount,
}

#[derive(Debug, Clone)]
pub struct SignedIn {
    pub identity: Identity,
    /// If the platform gives one. The newest counts: platforms take an older one for stolen.
    pub refresh_token: Option<Secret>,
}

#[derive(Deserialize)]
struct Tokens {
    token_type: String,
    access_token: String,
    id_token: Option<String>,
    refresh_token: Option<String>,
}

impl Provider {
    pub async fn authorize_url(
        &self,
        client: &Client,
        asked: &AuthorizeRequest<'_>,
        now: Timestamp,
    ) -> Result<String, OidcError> {
        let document = self.document(now).await?;
        let mut url = document.authorization.clone();
        let openid = asked.scopes.split(' ').any(|scope| scope == "openid");
        let scopes = if openid { "" } else { "openid " };
        let scopes = format!("{scopes}{}", asked.scopes);
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", &client.redirect_uri)
            .append_pair("scope", scopes.trim())
            .append_pair("state", asked.state)
            .append_pair("nonce", asked.nonce)
            .append_pair("code_challenge", asked.challenge)
            .append_pair("code_challenge_method", "S256");
        if let Some(prompt) = asked.prompt {
            url.query_pairs_mut().append_pair("prompt", prompt.as_str());
        }
        Ok(url.into())
    }

    /// `issuer`: the callback's (RFC 9207), which is judged before the code is shown to anybody:
    /// one that another provider gave would be handed to the wrong one.
    pub async fn exchange(
        &self,
        client: &Client,
        code: &Secret,
        issuer: Option<&str>,
        verifier: &Verifier,
        nonce: &str,
        now: Timestamp,
    ) -> Result<SignedIn, OidcError> {
        let document = self.document(now).await?;
        match issuer {
            Some(issuer) if issuer != document.issuer => {
                return Err(OidcError::Callback(CallbackError::OtherIssuer));
            }
            None if document.names_issuer => {
                return Err(OidcError::Callback(CallbackError::NoIssuer));
            }
            Some(_) | None => {}
        }
        let step = Step::Code;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.reveal()),
            ("redirect_uri", client.redirect_uri.as_str()),
            ("code_verifier", verifier.reveal()),
        ];
        let tokens = self.tokens(step, client, &document, &form).await?;
        let missing = OidcError::Answer { step, reason: "there is no id token" };
        let token = tokens.id_token.as_deref().ok_or(missing)?;
        let claims = self.believed(token, Kind::Id, &client.id, now, OidcError::IdToken).await?;
        let given = claims.value("nonce").and_then(Value::as_str).unwrap_or_default();
        if given.is_empty() || !bool::from(given.as_bytes().ct_eq(nonce.as_bytes())) {
            return Err(OidcError::IdToken(TokenError::Nonce));
        }
        let identity = self.identity(&document, claims, &tokens).await?;
        Ok(SignedIn { identity, refresh_token: tokens.refresh_token.map(Secret::new) })
    }

    /// `subject`: of the sign-in that the refresh token is of (OpenID Connect Core §12.2).
    pub async fn refresh(
        &self,
        client: &Client,
        refresh_token: &Secret,
        subject: &str,
        now: Timestamp,
    ) -> Result<SignedIn, OidcError> {
        let document = self.document(now).await?;
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.reveal())];
        let tokens = self.tokens(Step::Refresh, client, &document, &form).await?;
        // A platform need not give a new id token; the access token then tells who it is of.
        let claims = match &tokens.id_token {
            Some(token) => {
                self.believed(token, Kind::Id, &client.id, now, OidcError::IdToken).await?
            }
            None => self.user_info(&document, &tokens.access_token).await?,
        };
        if claims.text("sub").map_err(OidcError::IdToken)? != Some(subject) {
            return Err(OidcError::IdToken(TokenError::Subject));
        }
        let identity = self.identity(&document, claims, &tokens).await?;
        let newest = tokens.refresh_token.map(Secret::new);
        Ok(SignedIn { identity, refresh_token: newest.or_else(|| Some(refresh_token.clone())) })
    }

    /// Whether the platform still knows the client. It is asked with a code that it never gave: a
    /// browser that is sent to a platform that has forgotten us is stranded there, so this is worth
    /// knowing at a start, and before a sign-in after a long time.
    pub async fn knows(&self, client: &Client, now: Timestamp) -> Result<bool, OidcError> {
        let document = self.document(now).await?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", "portico-asks-whether-it-is-known"),
            ("redirect_uri", client.redirect_uri.as_str()),
            ("code_verifier", "portico-asks-whether-it-is-known-to-the-platform"),
        ];
        match self.tokens(Step::Code, client, &document, &form).await {
            Ok(_) | Err(OidcError::GrantRefused { .. }) => Ok(true),
            Err(OidcError::ClientUnknown { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn tokens(
        &self,
        step: Step,
        client: &Client,
        document: &Document,
        form: &[(&str, &str)],
    ) -> Result<Tokens, OidcError> {
        let request = client.request(&document.token, &document.client_auth, form)?;
        let reply = call(&self.outbound, step, request).await?;
        if reply.status != StatusCode::OK {
            return Err(refusal(step, &reply));
        }
        let tokens: Tokens = json_of_secrets(step, &reply.body)?;
        if !tokens.token_type.eq_ignore_ascii_case("bearer") {
            return Err(OidcError::Answer { step, reason: "the access token is of another type" });
        }
        let long = |token: &String| token.len() > limits::OIDC_TOKEN_BYTES_MAX;
        if long(&tokens.access_token) || tokens.refresh_token.as_ref().is_some_and(long) {
            return Err(OidcError::Answer { step, reason: "a token is too long" });
        }
        Ok(tokens)
    }

    /// Asks for the user info where the claims do not say all that is wanted.
    async fn identity(
        &self,
        document: &Document,
        claims: Claims,
        tokens: &Tokens,
    ) -> Result<Identity, OidcError> {
        let missing = self.claims.missing_in(&claims);
        let info = match missing {
            Missing::Nothing => None,
            Missing::User | Missing::Workspaces if document.user_info.is_none() => None,
            Missing::User => Some(self.user_info(document, &tokens.access_token).await?),
            // Who has sessions of their own can open them without.
            Missing::Workspaces => match self.user_info(document, &tokens.access_token).await {
                Ok(info) => Some(info),
                Err(error) => {
                    let error = crate::with_causes(&error);
                    tracing::warn!(%error, "a user signs in without their workspaces");
                    None
                }
            },
        };
        if let Some(info) = &info
            && info.text("sub").ok().flatten() != claims.text("sub").ok().flatten()
        {
            // OpenID Connect Core §5.3.2.
            let reason = "it is of another user";
            return Err(OidcError::Answer { step: Step::UserInfo, reason });
        }
        let all: Vec<&Claims> = [Some(&claims), info.as_ref()].into_iter().flatten().collect();
        identity(&all, &self.claims).map_err(OidcError::IdToken)
    }

    async fn user_info(&self, document: &Document, token: &str) -> Result<Claims, OidcError> {
        let step = Step::UserInfo;
        let wrong = |reason| OidcError::Answer { step, reason };
        let from: &Url = document.user_info.as_ref().ok_or_else(|| wrong("there is none"))?;
        let field = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut field = field.map_err(|_| wrong("the access token cannot be sent"))?;
        field.set_sensitive(true);
        let request = Request::get(from.as_str()).header(header::AUTHORIZATION, field);
        let request = request.body(Full::default()).map_err(|_| wrong("its URL is not one"))?;
        let reply = call(&self.outbound, step, request).await?;
        if reply.status != StatusCode::OK {
            return Err(OidcError::Status { step, status: reply.status.as_u16() });
        }
        let members: Map<String, Value> = json_of_secrets(step, &reply.body)?;
        Ok(Claims::of_user_info(members))
    }
}

impl Prompt {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Login => "login",
            Self::Consent => "consent",
            Self::SelectAccount => "select_account",
        }
    }
}
