//! What is said to who may not open a session.

use portico_core::http::request::Request;
use portico_core::route::Route;
use portico_core::session::Name;

use super::Page;
use crate::metrics::labels::Reason;

impl Page {
    /// Elsewhere, with another method where the first was not GET.
    pub(crate) fn redirect(to: String) -> Self {
        Page::new(303, "", "", "").with("Location", to).with("Referrer-Policy", "no-referrer")
    }

    pub(crate) fn not_signed_in(route: &Route, origin: Option<&str>) -> Self {
        let page = Page::new(
            401,
            "not-signed-in",
            "Open this session from the platform",
            "You are not signed in here, or not any more. The platform's link signs you in.",
        )
        .about(&route.label)
        .counted(Reason::NotSignedIn)
        // RFC 9110 §15.5.2 wants a challenge; no client knows this scheme, and none shall ask for a
        // password.
        .with("WWW-Authenticate", "Portico realm=\"session\"");
        readable(page, origin)
    }

    /// `who_may` is a sentence.
    pub(crate) fn not_allowed(
        route: &Route,
        who_may: &str,
        user: &Name,
        origin: Option<&str>,
        sign_out: Option<String>,
    ) -> Self {
        let detail = format!("You are signed in as {user}. {who_may}");
        let mut page = Page::new(403, "not-allowed", "This session is not open to you", detail)
            .about(&route.label)
            .counted(Reason::NotAllowed);
        page.action = sign_out.map(|to| (to, "Sign in as somebody else"));
        readable(page, origin)
    }

    pub(crate) fn cross_origin(route: &Route) -> Self {
        Page::new(
            403,
            "cross-origin",
            "Another site may not use this session",
            "The request comes from a page of another origin, which the operator has not allowed.",
        )
        .about(&route.label)
        .counted(Reason::CrossOrigin)
    }

    pub(crate) fn preflight(origin: &str, request: &Request<'_, '_>) -> Self {
        let asked = request.named("access-control-request-headers").unwrap_or_default();
        let page = Page::new(204, "", "", "");
        let page = readable(page, Some(origin))
            .with("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
            .with("Access-Control-Max-Age", "600");
        match std::str::from_utf8(asked) {
            Ok(asked) if !asked.is_empty() => page.with("Access-Control-Allow-Headers", asked),
            _ => page,
        }
    }

    /// The edge app has ended, or this machine gives no random numbers.
    pub(crate) fn of_edge_failure() -> Self {
        let detail = "Signing in is not possible at this moment. Try again.";
        let mut page = Page::new(503, "sign-in-unavailable", "Signing in is not possible", detail)
            .counted(Reason::EdgeFailed);
        page.retry_after = Some(5);
        page
    }
}

/// For the page of an allowed origin, which could not read it else.
fn readable(page: Page, origin: Option<&str>) -> Page {
    match origin {
        None => page,
        Some(origin) => page
            .with("Access-Control-Allow-Origin", origin)
            .with("Access-Control-Allow-Credentials", "true")
            .with("Vary", "Origin"),
    }
}
