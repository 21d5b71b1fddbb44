//! What each answer says, and what it counts as.

use std::borrow::Cow;
use std::time::Duration;

use portico_core::http::decide::Answer;
use portico_core::http::refusal::{GatewayFault, Refusal};
use portico_core::route::Route;
use portico_core::session::{Name, State};
use portico_core::workspace::Excess;

use crate::last_errors::{Attempt, Error};
use crate::metrics::labels::{ConnectError, Reason};

/// One answer of the edge, not yet in a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) status: u16,
    /// Last part of the problem's `type`.
    pub(super) slug: &'static str,
    pub(super) title: &'static str,
    pub(super) detail: Cow<'static, str>,
    pub(super) session: Option<String>,
    pub(super) retry_after: Option<u32>,
    pub(super) extra: Vec<(&'static str, String)>,
    /// A place to go, and the words for it.
    pub(super) action: Option<(String, &'static str)>,
    /// What it counts as in `portico_requests_refused_total`; none for what is no refusal.
    pub(crate) reason: Option<Reason>,
    /// What came before it, which the client is not told. In a box, because few pages have it and
    /// a page has its place in each connection.
    attempt: Option<Box<Attempt>>,
}

/// A session that starts is looked for again after so many seconds.
const STARTING_SECONDS: u32 = 3;

impl Page {
    pub(super) fn new(
        status: u16,
        slug: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            slug,
            title,
            detail: detail.into(),
            session: None,
            retry_after: None,
            extra: Vec::new(),
            action: None,
            reason: None,
            attempt: None,
        }
    }

    pub(super) fn counted(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    pub(super) fn about(mut self, session: impl ToString) -> Self {
        self.session = Some(session.to_string());
        self
    }

    pub(crate) fn title(&self) -> &str {
        self.title
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn after(mut self, attempt: Attempt) -> Self {
        self.attempt = Some(Box::new(attempt));
        self
    }

    /// What is remembered of it; nothing of what is no refusal, or sends a client elsewhere.
    pub(crate) fn error(&self) -> Option<Error> {
        let reason = self.reason.filter(|_| self.status >= 400)?;
        let attempt = self.attempt.as_deref().copied().unwrap_or_default();
        Some(Error { status: self.status, reason, attempt })
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.extra.push((name, value.into()));
        self
    }

    /// `target` and `path_bytes` are the request's, for the redirect. None: who asks was refused,
    /// which depends on more than the answer.
    pub(crate) fn of_answer(answer: &Answer, target: &str, path_bytes: usize) -> Option<Self> {
        Some(match answer {
            Answer::Refused(..) => return None,
            Answer::Healthy => Page::new(200, "", "", "ok\n"),
            Answer::Options => Page::new(204, "", "", ""),
            Answer::AddSlash => {
                let (path, query) = target.split_at(path_bytes);
                let mut page = Page::new(308, "", "", "");
                page.extra.push(("Location", format!("{path}/{query}")));
                page
            }
            Answer::UnknownHost => Page::new(
                404,
                "unknown-host",
                "Nothing is served under this name",
                "The host name is neither the connect host nor below the session domain.",
            )
            .counted(Reason::ForeignHost),
            Answer::NothingHere => Page::new(
                404,
                "not-found",
                "Nothing here",
                "Sessions are opened by the links that the platform shows.",
            )
            .counted(Reason::UnknownSession),
            Answer::UnknownSession(label) => Page::new(
                404,
                "unknown-session",
                "No such session",
                "There is no session with this name. Check the link, or open it from the platform.",
            )
            .about(label.as_str())
            .counted(Reason::UnknownSession),
            Answer::Gone(label) => Page::new(
                410,
                "session-deleted",
                "This session was deleted",
                "It will not come back. Start a new one from the platform.",
            )
            .about(label.as_str())
            .counted(Reason::Gone),
            Answer::OtherRouting(route) => Page::new(
                404,
                "routing-not-offered",
                "This session has another address",
                "It is not served on this kind of link. Open it from the platform.",
            )
            .about(&route.label)
            .counted(Reason::RoutingNotOffered),
            Answer::WorkspaceNotAllowed(route) => Page::new(
                403,
                "workspace-not-allowed",
                "This workspace may not use sessions here",
                format!(
                    "The workspace {} is not on the list of those that this installation serves. \
                     Ask its operator.",
                    route.workspace.name
                ),
            )
            .about(&route.label)
            .counted(Reason::WorkspaceNotAllowed),
            Answer::NotRunning(route) => Page::of_state(route),
        })
    }

    pub(crate) fn of_excess(excess: Excess, route: &Route) -> Self {
        let (what, reason, retry_after) = match excess {
            Excess::Connections => {
                ("open connections", Reason::WorkspaceConnections, Duration::from_secs(1))
            }
            Excess::Requests { retry_after } => {
                ("requests a second", Reason::WorkspaceRequestRate, retry_after)
            }
            Excess::Bytes { retry_after } => {
                ("bytes a second", Reason::WorkspaceByteRate, retry_after)
            }
        };
        let detail = format!(
            "The workspace {} uses as many {what} as it may. Try again in a moment.",
            route.workspace.name
        );
        let mut page = Page::new(429, "workspace-limit", "The workspace is at its limit", detail)
            .about(&route.label)
            .counted(reason);
        page.retry_after = Some(whole_seconds(retry_after));
        page
    }

    /// `bucket` is what a policy calls those who share the quota.
    pub(crate) fn of_quota(bucket: &Name, retry_after: Duration, route: &Route) -> Self {
        let detail = format!(
            "More was transferred than the quota `{bucket}` allows. It is open again when its \
             window has passed; ask the operator of the platform for more."
        );
        let mut page = Page::new(429, "quota-exceeded", "A traffic quota is used up", detail)
            .about(&route.label)
            .counted(Reason::QuotaExceeded);
        page.retry_after = Some(whole_seconds(retry_after));
        page
    }

    fn of_state(route: &Route) -> Self {
        let because = |text: &'static str| -> Cow<'static, str> {
            match &route.reason {
                Some(reason) => format!("{text} Reason: {reason}").into(),
                None => text.into(),
            }
        };
        let page = |slug, title, detail, reason| {
            Page::new(503, slug, title, detail).about(&route.label).counted(reason)
        };
        let restart = "Start it again from the platform.";
        let mut page = match route.state {
            State::Building => page(
                "session-building",
                "The session is being built",
                because("Its environment is being prepared."),
                Reason::Building,
            ),
            State::Starting | State::Running => page(
                "session-starting",
                "The session is starting",
                because("It will be here in a moment."),
                Reason::Starting,
            ),
            State::Stopping => page(
                "session-stopping",
                "The session is stopping",
                because(restart),
                Reason::Stopped,
            ),
            State::Stopped => {
                page("session-stopped", "The session is stopped", because(restart), Reason::Stopped)
            }
            State::BuildFailed => page(
                "session-build-failed",
                "The session could not be built",
                because("See its build log on the platform."),
                Reason::Errored,
            ),
            State::Errored => page(
                "session-errored",
                "The session has failed",
                because("See its log on the platform."),
                Reason::Errored,
            ),
        };
        let waits = matches!(route.state, State::Building | State::Starting | State::Running);
        page.retry_after = waits.then_some(STARTING_SECONDS);
        page
    }

    pub(crate) fn of_refusal(refusal: Refusal) -> Self {
        let (slug, title) = match refusal.status() {
            413 => ("body-too-large", "The request is too large"),
            405 => ("method-not-allowed", "Method not allowed"),
            408 => ("request-timeout", "The request took too long"),
            414 => ("target-too-long", "The address is too long"),
            417 => ("expectation-failed", "Expectation not supported"),
            431 => ("head-too-large", "The request's header fields are too large"),
            505 => ("version-not-supported", "HTTP version not supported"),
            _ => ("bad-request", "Bad request"),
        };
        let mut detail = refusal.to_string();
        if let Some(first) = detail.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        if refusal.status() == 431 {
            detail.push_str(
                ". Too many cookies are the usual cause: load the page again, and if that does \
                 not help delete this site's cookies",
            );
        }
        detail.push('.');
        let mut page = Page::new(refusal.status(), slug, title, detail).counted(match refusal {
            Refusal::LineTooLong => Reason::TargetTooLong,
            Refusal::HeadTooLarge | Refusal::TooManyFields => Reason::HeadTooLarge,
            Refusal::Timeout => Reason::HeadTimeout,
            Refusal::BodyTooLarge => Reason::BodyTooLarge,
            Refusal::Version => Reason::UnsupportedVersion,
            Refusal::Expectation => Reason::UnsupportedExpectation,
            _ => Reason::BadRequest,
        });
        if refusal == Refusal::Method {
            page.extra.push(("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".into()));
        }
        page
    }

    /// Of a body, behind a head that was in order.
    pub(crate) fn of_body_refusal(refusal: Refusal) -> Self {
        let page = Page::of_refusal(refusal);
        match refusal {
            Refusal::Timeout => page.counted(Reason::BodyTooSlow),
            _ => page,
        }
    }

    pub(crate) fn of_connect_error(error: ConnectError, route: &Route) -> Self {
        let (detail, reason) = match error {
            ConnectError::Forbidden => (
                "Its address is not in the networks that Portico may connect to.",
                Reason::UpstreamForbidden,
            ),
            ConnectError::Timeout => {
                ("It did not answer in time. Try again in a moment.", Reason::UpstreamTimeout)
            }
            _ => ("It is not reachable. Try again in a moment.", Reason::UpstreamUnreachable),
        };
        Page::new(502, "session-unreachable", "The session does not answer", detail)
            .about(&route.label)
            .counted(reason)
    }

    pub(crate) fn of_gateway_fault(fault: GatewayFault, route: &Route) -> Self {
        let reason = match fault {
            GatewayFault::Truncated => Reason::UpstreamClosed,
            _ => Reason::UpstreamMalformed,
        };
        let detail = format!("Its tool gave no valid answer: {fault}.");
        Page::new(502, "session-answer-invalid", "The session gave no valid answer", detail)
            .about(&route.label)
            .counted(reason)
    }
}

/// Never 0, which would mean "at once".
fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1_000).max(1)).unwrap_or(u32::MAX)
}
