//! Signing in: a browser comes from a session, goes to the platform, comes back with a code, and
//! leaves for the session. What has to be remembered meanwhile is sealed in a cookie of the
//! browser's, one for each sign-in, so that several tabs do not disturb each other and any replica
//! can end what another began.

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use portico_core::access::{Binding, Login, LoginProof, Reach, host_cookie};
use portico_core::limits;
use portico_core::session::{Name, Timestamp};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, failed, gone};
use super::asked::{self, Fields, cookies};
use super::hand_over::{hand_over, login_cookie, no_key};
use super::place::Place;
use super::platform::{Platform, PlatformError};
use super::{Edge, random};
use crate::clock;
use crate::oidc::{AuthorizeRequest, Callback, Fault, OidcError, Outcome, SignedIn, Verifier};
use crate::sealed::Sealer;
use crate::secret::Secret;

/// Behind it comes the state's own name.
const STATE_COOKIE: &str = "__Host-portico-state-";
pub const REFRESH_COOKIE: &str = "__Host-portico-refresh";

/// What is sealed while a browser is away.
#[derive(Serialize, Deserialize)]
struct Begun {
    label: String,
    by: String,
    to: String,
    bind: Option<String>,
    nonce: String,
    verifier: String,
    until_ms: u64,
}

/// What renews a sign-in unseen.
#[derive(Serialize, Deserialize)]
struct Refresh {
    subject: String,
    session_id: Option<String>,
    token: String,
}

pub async fn login(State(edge): State<Edge>, uri: Uri, fields: HeaderMap) -> Response {
    let query = Fields::of_query(&uri);
    let (label, by) = (query.get("session").unwrap_or_default(), query.get("by"));
    let to = query.get("to").unwrap_or("/");
    let Some(place) = Place::find(&edge.0, label, by.unwrap_or("subdomain"), to) else {
        return super::answer::not_found(State(edge)).await;
    };
    if !asked::is_navigation(&fields) {
        return Answer::problem(403, "not-a-page", "This is a page", "Go there; do not fetch it.")
            .done();
    }
    let binding = query.get("bind").and_then(|text| Binding::parse(text.as_bytes()));
    let now = clock::now();
    let state = edge.0.access();
    let signed_in = asked::login(&fields, &state, now);
    if let Some(login) = signed_in.filter(|login| login.reach == Reach::Sessions) {
        return hand_over(&edge, &place, &login, binding, Vec::new()).await;
    }
    let Some(platform) = &edge.0.settings.platform else {
        let words = "Nobody can sign in here: open the session from the platform.";
        return failed(&edge, 401, words, None).done();
    };
    if let Some((login, fresh)) = refreshed(&edge, platform, &fields, now).await {
        return hand_over(&edge, &place, &login, binding, fresh).await;
    }
    let bind = binding.map(|binding| binding.to_string());
    let begun = |nonce: String, verifier: &Verifier| Begun {
        label: place.route.label.to_string(),
        by: by.unwrap_or("subdomain").to_owned(),
        to: place.path().to_owned(),
        bind,
        nonce,
        verifier: verifier.reveal().to_owned(),
        until_ms: now.plus(limits::SIGN_IN_TIMEOUT).0,
    };
    match begin(&edge, platform, begun, now).await {
        Ok(answer) => answer.done(),
        Err(error) => told(&edge, &error, Some(&place)),
    }
}

async fn begin(
    edge: &Edge,
    platform: &Platform,
    begun: impl FnOnce(String, &Verifier) -> Begun,
    now: Timestamp,
) -> Result<Answer, PlatformError> {
    platform.provider.answers(now).await?;
    let client = platform.client(&*edge.0.store).await?;
    let (Some(id), Some(nonce), Some(verifier)) = (random::<16>(), random::<16>(), random()) else {
        return Ok(failed(edge, 503, "This machine gives no random numbers.", None));
    };
    let (id, nonce) = (hex(&id), hex(&nonce));
    let verifier = Verifier::from_random(verifier);
    let asked = AuthorizeRequest {
        state: &id,
        nonce: &nonce,
        challenge: &verifier.challenge(),
        scopes: &platform.scopes,
        prompt: None,
    };
    let to = platform.provider.authorize_url(&client, &asked, now).await?;
    let begun = serde_json::to_vec(&begun(nonce.clone(), &verifier)).unwrap_or_default();
    let Some(sealed) = sealer(edge, now).and_then(|sealer| sealer.seal("sign-in", &begun).ok())
    else {
        return Ok(failed(edge, 503, "Portico has not heard from its store yet.", None));
    };
    edge.0.counters.sign_ins("begun");
    let name = format!("{STATE_COOKIE}{id}");
    Ok(Answer::redirect(&to).cookie(host_cookie(&name, &sealed, limits::SIGN_IN_TIMEOUT)))
}

pub async fn callback(State(edge): State<Edge>, uri: Uri, fields: HeaderMap) -> Response {
    let Some(platform) = &edge.0.settings.platform else {
        return super::answer::not_found(State(edge)).await;
    };
    let now = clock::now();
    let callback = match Callback::parse(uri.query().unwrap_or_default()) {
        Ok(callback) => callback,
        Err(error) => return told(&edge, &error.into(), None),
    };
    let name = format!("{STATE_COOKIE}{}", callback.state.reveal());
    let sealer = sealer(&edge, now);
    let begun = cookies(&fields, &name).find_map(|value| {
        let text = sealer.as_ref()?.open("sign-in", std::str::from_utf8(value).ok()?).ok()?;
        serde_json::from_slice::<Begun>(&text).ok().filter(|begun| begun.until_ms > now.0)
    });
    let Some(begun) = begun else {
        let words = "This browser did not begin it, or too long ago; or it keeps no cookies of \
                     this site. Open the session from the platform again.";
        edge.0.counters.sign_ins("unknown_state");
        return failed(&edge, 403, words, None).done();
    };
    let place = Place::find(&edge.0, &begun.label, &begun.by, &begun.to);
    let code = match callback.outcome {
        Outcome::Code(code) => code,
        Outcome::Refused(why) => {
            edge.0.counters.sign_ins("refused");
            let again = place.as_ref().map(|place| place.url(&edge.0.settings.domains));
            let words = format!("The platform did not sign you in: {why}.");
            let page = failed(&edge, 403, &words, again.as_deref());
            return page.cookie(gone(&name)).done();
        }
    };
    let signed_in =
        exchanged(&edge, platform, &code, callback.issuer.as_deref(), &begun, now).await;
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(error) => return told(&edge, &error, place.as_ref()),
    };
    let login = new_login(&edge, &signed_in, now);
    let Some(mut fresh) = login_cookies(&edge, &login, &signed_in, now) else {
        return no_key(&edge);
    };
    fresh.push(gone(&name));
    edge.0.counters.sign_ins("signed_in");
    tracing::info!(user = super::known(&login.user), "signed in");
    let Some(place) = place else {
        let words = "You are signed in, but the session is not there any more.";
        return failed(&edge, 404, words, None).cookies(fresh).done();
    };
    let binding = begun.bind.and_then(|text| Binding::parse(text.as_bytes()));
    hand_over(&edge, &place, &login, binding, fresh).await
}

async fn exchanged(
    edge: &Edge,
    platform: &Platform,
    code: &Secret,
    issuer: Option<&str>,
    begun: &Begun,
    now: Timestamp,
) -> Result<SignedIn, PlatformError> {
    let client = platform.client(&*edge.0.store).await?;
    let verifier = Verifier::parse(&begun.verifier)
        .ok_or(OidcError::Callback(crate::oidc::CallbackError::Parameter))?;
    let provider = &platform.provider;
    let exchanged = provider.exchange(&client, code, issuer, &verifier, &begun.nonce, now).await;
    if exchanged.as_ref().is_err_and(OidcError::is_client_unknown) {
        platform.forget(&*edge.0.store).await;
    }
    Ok(exchanged?)
}

/// A sign-in that the platform renews without asking anybody, where it gave a token for that.
async fn refreshed(
    edge: &Edge,
    platform: &Platform,
    fields: &HeaderMap,
    now: Timestamp,
) -> Option<(Login, Vec<String>)> {
    let sealer = sealer(edge, now)?;
    let refresh = cookies(fields, REFRESH_COOKIE).find_map(|value| {
        let text = sealer.open("refresh", std::str::from_utf8(value).ok()?).ok()?;
        serde_json::from_slice::<Refresh>(&text).ok()
    })?;
    let client = platform.client(&*edge.0.store).await.ok()?;
    let token = Secret::new(refresh.token);
    let refreshed = platform.provider.refresh(&client, &token, &refresh.subject, now).await;
    let mut signed_in = match refreshed {
        Ok(signed_in) => signed_in,
        // Then they are asked; most platforms know them still.
        Err(error) => {
            tracing::debug!(error = crate::with_causes(&error), "a sign-in is not renewed unseen");
            return None;
        }
    };
    // Not every platform repeats it; the sign-in there is the same.
    signed_in.identity.session_id = signed_in.identity.session_id.or(refresh.session_id);
    let login = new_login(edge, &signed_in, now);
    // Logged out at the platform since, which has not taken its token back.
    if edge.0.access().revocations.cover(&login.user, login.proof) {
        return None;
    }
    edge.0.counters.sign_ins("refreshed");
    let fresh = login_cookies(edge, &login, &signed_in, now)?;
    Some((login, fresh))
}

fn new_login(edge: &Edge, signed_in: &SignedIn, now: Timestamp) -> Login {
    let identity = &signed_in.identity;
    let id = match &identity.session_id {
        Some(session) => Platform::login_of("sid", session),
        None => Platform::login_of("sub", &identity.subject),
    };
    let mut bytes = 0;
    let fits = |workspace: &&Name| {
        bytes += workspace.as_str().len() + 2;
        bytes <= limits::LOGIN_WORKSPACES_BYTES_MAX
    };
    Login {
        user: identity.user.clone(),
        proof: LoginProof { id, at: now },
        reach: Reach::Sessions,
        until: now.plus(edge.0.settings.login_lifetime),
        workspaces: identity
            .workspaces
            .iter()
            .take(limits::LOGIN_WORKSPACES_MAX)
            .take_while(fits)
            .cloned()
            .collect(),
    }
}

/// None while there is no key.
fn login_cookies(
    edge: &Edge,
    login: &Login,
    signed_in: &SignedIn,
    now: Timestamp,
) -> Option<Vec<String>> {
    let mut fresh = vec![login_cookie(edge, login, now)?];
    if let Some(token) = &signed_in.refresh_token {
        let refresh = Refresh {
            subject: signed_in.identity.subject.clone(),
            session_id: signed_in.identity.session_id.clone(),
            token: token.reveal().to_owned(),
        };
        let text = serde_json::to_vec(&refresh).ok()?;
        // One that does not fit a cookie is left out: the platform is asked in the open then.
        if let Ok(sealed) = sealer(edge, now)?.seal("refresh", &text) {
            fresh.push(host_cookie(REFRESH_COOKIE, &sealed, limits::REFRESH_COOKIE_LIFETIME));
        }
    }
    Some(fresh)
}

/// What was signed with comes first, as all replicas have it.
fn sealer(edge: &Edge, now: Timestamp) -> Option<Sealer> {
    let keys = edge.0.access().keys;
    let first = keys.signing(now)?;
    let others = keys.iter().rev().filter(|key| key.id != first.id);
    let secrets: Vec<_> =
        std::iter::once(first).chain(others).map(|key| (key.id.0, *key.secret())).collect();
    Sealer::new(&secrets).ok()
}

/// The user reads whose turn it is, the operator what went wrong.
fn told(edge: &Edge, error: &PlatformError, place: Option<&Place>) -> Response {
    let fault = match error {
        PlatformError::Oidc(error) => error.fault(),
        PlatformError::Store(_) => Fault::PlatformAway,
    };
    let error = crate::with_causes(error);
    let (status, outcome, words) = match fault {
        Fault::PlatformAway => (
            503,
            "platform_away",
            "The platform, where you sign in, does not answer. Sessions that you have open keep \
             working. Try again in a moment.",
        ),
        Fault::PlatformWrong => {
            (502, "platform_wrong", "The platform's answer cannot be used. Tell its operator.")
        }
        Fault::Request => (
            403,
            "stale",
            "What the platform sent back is too old, or not of this browser. Open the session \
             again.",
        ),
        Fault::Settings => {
            (500, "settings", "Portico and the platform do not fit together. Tell the operator.")
        }
    };
    match fault {
        Fault::Request => tracing::info!(error, "a sign-in failed"),
        Fault::PlatformAway | Fault::PlatformWrong => tracing::warn!(error, "a sign-in failed"),
        Fault::Settings => tracing::error!(error, "a sign-in failed: correct the settings"),
    }
    edge.0.counters.sign_ins(outcome);
    let again = place.map(|place| place.url(&edge.0.settings.domains));
    failed(edge, status, words, again.as_deref()).done()
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
