//! The end of a sign-in: by the user, who is then also logged out at the platform, or by the
//! platform itself. Both take back what came of it, on every replica.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use portico_core::access::{LOGIN_COOKIE, Revocation, Revoked};
use portico_core::page::Action;

use super::Edge;
use super::answer::{Answer, Words, failed, gone};
use super::asked::{self, Fields};
use super::platform::Platform;
use super::sign_in::REFRESH_COOKIE;
use crate::clock;
use crate::oidc::LogoutOf;

const SIGNED_OUT: &str = "/_portico/signed-out";

/// A page with a button, because a link that signs out is one that others can make somebody follow.
pub async fn page(State(edge): State<Edge>, fields: HeaderMap) -> Response {
    let now = clock::now();
    let Some(login) = asked::login(&fields, &edge.0.access(), now) else {
        return Answer::redirect(SIGNED_OUT).done();
    };
    let detail = format!(
        "You are signed in as {}. Signing out closes all sessions that you have open with this \
         browser's sign-in; what runs in them goes on.",
        login.user
    );
    let action = Some(Action::Button { to: "/_portico/logout", words: "Sign out" });
    Answer::page(&edge, &Words { status: 200, title: "Sign out", detail: &detail, action }).done()
}

pub async fn log_out(State(edge): State<Edge>, fields: HeaderMap) -> Response {
    let connect = edge.0.settings.domains.connect.to_string();
    if !asked::is_own(&fields, &connect) {
        let detail = "Only Portico's own page signs out.";
        return Answer::problem(403, "cross-origin", "Another site cannot do this", detail).done();
    }
    let now = clock::now();
    if let Some(login) = asked::login(&fields, &edge.0.access(), now) {
        let revocation = Revocation { of: Revoked::Login(login.proof.id), before: now };
        let words = format!("{} signed out", login.user);
        if let Err(error) = edge.0.revoke(&revocation, &words).await {
            tracing::error!(error = crate::with_causes(&error), "a sign-out cannot be kept");
            let words = "Portico's store does not answer, so that not everything could be closed. \
                         Try again in a moment.";
            return failed(&edge, 503, words, Some("/_portico/logout")).done();
        }
        edge.0.counters.sign_ins("signed_out");
    }
    let to = at_the_platform(&edge, &format!("{connect}{SIGNED_OUT}")).await;
    let to = to.unwrap_or_else(|| SIGNED_OUT.to_owned());
    Answer::redirect(&to).cookie(gone(LOGIN_COOKIE)).cookie(gone(REFRESH_COOKIE)).done()
}

/// Where it is logged out, too; none where it offers no such, or is away.
async fn at_the_platform(edge: &Edge, back: &str) -> Option<String> {
    let platform = edge.0.settings.platform.as_ref()?;
    let client = platform.client(&*edge.0.store).await.ok()?;
    platform.provider.end_session_url(&client, back, None, clock::now()).await.ok()?
}

pub async fn signed_out(State(edge): State<Edge>) -> Response {
    let words = Words {
        status: 200,
        title: "You are signed out",
        detail: "The sessions that were open are closed. What runs in them goes on.",
        action: None,
    };
    Answer::page(&edge, &words).done()
}

/// OpenID Connect Back-Channel Logout 1.0.
pub async fn back_channel(State(edge): State<Edge>, body: Bytes) -> Response {
    let form = Fields::parse(&body);
    let refused = |detail: &str| {
        Answer::problem(400, "logout-token-refused", "The logout token is not valid", detail).done()
    };
    let Some(platform) = &edge.0.settings.platform else {
        return refused("nobody signs in here");
    };
    let Some(token) = form.get("logout_token") else { return refused("there is none") };
    let client = match platform.client(&*edge.0.store).await {
        Ok(client) => client,
        Err(error) => return unavailable(&error),
    };
    let now = clock::now();
    let logout = match platform.provider.logout_token(&client, token, now).await {
        Ok(logout) => logout,
        Err(error) => {
            edge.0.counters.sign_ins("logout_token_refused");
            let error = crate::with_causes(&error);
            tracing::warn!(error, "a back-channel logout is refused");
            return refused(&error);
        }
    };
    for of in revoked(&logout) {
        let revocation = Revocation { of, before: now };
        if let Err(error) = edge.0.revoke(&revocation, "signed out at the platform").await {
            return unavailable(&error);
        }
    }
    edge.0.counters.sign_ins("signed_out");
    Answer::json(200, &serde_json::json!({})).done()
}

/// One session of theirs, or all that began under this subject.
fn revoked(logout: &LogoutOf) -> Vec<Revoked> {
    match (&logout.session_id, &logout.subject) {
        (Some(session), _) => vec![Revoked::Login(Platform::login_of("sid", session))],
        (None, Some(subject)) => {
            let login = Revoked::Login(Platform::login_of("sub", subject));
            let user = subject.parse().ok().map(Revoked::User);
            std::iter::once(login).chain(user).collect()
        }
        (None, None) => Vec::new(),
    }
}

/// The platform tries again.
fn unavailable(error: &dyn std::error::Error) -> Response {
    let error = crate::with_causes(error);
    tracing::error!(error, "a back-channel logout cannot be done");
    Answer::problem(503, "unavailable", "Not now", "Try again in a moment.").done()
}
