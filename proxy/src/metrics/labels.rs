//! The values that labels can have. Closed enums, so that the number of time series is known when
//! the program is compiled, and a counter is found by an index.

use portico_core::access::{Cause, Invalid};

use super::cell::Counter;

pub(crate) trait LabelValue: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    const ALL: &'static [Self];
    /// As many counters as values.
    type Cells: AsRef<[Counter]> + Default + std::fmt::Debug;
    fn as_str(self) -> &'static str;
    fn index(self) -> usize;
}

/// Writes an enum with its label name and the text of each value.
macro_rules! label {
    ($(#[$doc:meta])* $type:ident, $name:literal {
        $($(#[$value_doc:meta])* $value:ident = $text:literal,)+
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $type { $($(#[$value_doc])* $value,)+ }

        impl LabelValue for $type {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$value,)+];
            type Cells = [Counter; Self::ALL.len()];

            fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text,)+ }
            }

            #[inline]
            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

label! {
    ListenerKind, "listener" {
        Http = "http",
        Https = "https",
    }
}

label! {
    /// Class of the final answer's status, whoever gave it.
    StatusClass, "code" {
        Informational = "1xx",
        Success = "2xx",
        Redirection = "3xx",
        ClientError = "4xx",
        ServerError = "5xx",
    }
}

impl StatusClass {
    /// `None` for what is no status of HTTP.
    #[inline]
    pub fn of(status: u16) -> Option<Self> {
        Self::ALL.get(usize::from(status / 100).checked_sub(1)?).copied()
    }
}

label! {
    /// Bytes on the wire of one side, as the sockets saw them.
    Direction, "direction" {
        ClientIn = "client_in",
        ClientOut = "client_out",
        UpstreamIn = "upstream_in",
        UpstreamOut = "upstream_out",
    }
}

label! {
    /// Why a request got Portico's own answer, not a session's.
    Reason, "reason" {
        BadRequest = "bad_request",
        TargetTooLong = "target_too_long",
        HeadTooLarge = "head_too_large",
        HeadTimeout = "head_timeout",
        BodyTooSlow = "body_too_slow",
        UnsupportedVersion = "unsupported_version",
        UnsupportedExpectation = "unsupported_expectation",
        ForeignHost = "foreign_host",
        UnknownSession = "unknown_session",
        RoutingNotOffered = "routing_not_offered",
        WorkspaceNotAllowed = "workspace_not_allowed",
        WorkspaceConnections = "workspace_connections",
        WorkspaceRequestRate = "workspace_request_rate",
        WorkspaceByteRate = "workspace_byte_rate",
        QuotaExceeded = "quota_exceeded",
        Building = "building",
        Starting = "starting",
        Stopped = "stopped",
        Errored = "errored",
        Gone = "gone",
        NotSignedIn = "not_signed_in",
        NotAllowed = "not_allowed",
        CrossOrigin = "cross_origin",
        BodyTooLarge = "body_too_large",
        EdgeFailed = "edge_failed",
        UpstreamUnreachable = "upstream_unreachable",
        UpstreamForbidden = "upstream_forbidden",
        UpstreamMalformed = "upstream_malformed",
        UpstreamClosed = "upstream_closed",
        UpstreamTimeout = "upstream_timeout",
    }
}

label! {
    /// Why a grant opened nothing.
    GrantFault, "reason" {
        Malformed = "malformed",
        UnknownKey = "unknown_key",
        Signature = "signature",
        Expired = "expired",
        Future = "future",
        OtherSession = "other_session",
        Revoked = "revoked",
        OtherLogin = "other_login",
        Used = "used",
    }
}

impl From<Invalid> for GrantFault {
    fn from(invalid: Invalid) -> Self {
        match invalid {
            Invalid::Malformed => Self::Malformed,
            Invalid::Key => Self::UnknownKey,
            Invalid::Signature => Self::Signature,
            Invalid::Expired => Self::Expired,
            Invalid::Future => Self::Future,
            Invalid::OtherSession => Self::OtherSession,
            Invalid::Revoked => Self::Revoked,
            Invalid::OtherLogin => Self::OtherLogin,
            Invalid::Used => Self::Used,
        }
    }
}

label! {
    /// Why a live connection was ended.
    EndCause, "cause" {
        SessionEnded = "session_ended",
        WorkspaceNotAllowed = "workspace_not_allowed",
        PolicyChanged = "policy_changed",
        Revoked = "revoked",
        QuotaExceeded = "quota_exceeded",
    }
}

impl From<Cause> for EndCause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::SessionEnded => Self::SessionEnded,
            Cause::WorkspaceNotAllowed => Self::WorkspaceNotAllowed,
            Cause::PolicyChanged => Self::PolicyChanged,
            Cause::Revoked => Self::Revoked,
        }
    }
}

label! {
    /// Fields of a session's answer that would have spoken for more than the session.
    FieldFault, "field" {
        ClearSiteData = "clear_site_data",
        OriginWide = "origin_wide",
    }
}

label! {
    ConnectError, "reason" {
        Refused = "refused",
        Timeout = "timeout",
        Unreachable = "unreachable",
        Resolve = "resolve",
        /// The resolved address is one that Portico may not connect to.
        Forbidden = "forbidden",
        Reset = "reset",
        /// Not tried, because the last try a moment ago failed.
        Backoff = "backoff",
        Other = "other",
    }
}

impl ConnectError {
    pub fn of(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::TimedOut => Self::Timeout,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::Unreachable,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Self::Reset,
            _ => Self::Other,
        }
    }
}

label! {
    /// A bound of `portico_core::limits`, by the name of its constant without the unit.
    Limit, "limit" {
        RequestLine = "request_line",
        Head = "head",
        HeadFields = "head_fields",
        InterimResponses = "interim_responses",
        HeadTimeout = "head_timeout",
        HandshakeTimeout = "handshake_timeout",
        KeepAliveTimeout = "keep_alive_timeout",
        BodyRate = "body_rate",
        ConnectTimeout = "connect_timeout",
        LingerTimeout = "linger_timeout",
        HalfClosedTimeout = "half_closed_timeout",
        HalfClosedAnswerTimeout = "half_closed_answer_timeout",
        ReceiveBuffers = "receive_buffers",
        UpstreamIdlePerAddress = "upstream_idle_per_address",
        UpstreamIdlePerWorker = "upstream_idle_per_worker",
        UpstreamLookups = "upstream_lookups",
        ConnectionsPerWorker = "connections_per_worker",
        ProxyHeader = "proxy_header",
        /// A PROXY header from outside of the trusted networks.
        ProxyPeer = "proxy_peer",
        AccessLogQueue = "access_log_queue",
        /// A worker has forgotten sessions' last errors for those of others.
        ErrorsSessions = "errors_sessions",
    }
}

label! {
    /// Why a session's `Set-Cookie` did not reach the client.
    CookieFault, "reason" {
        /// Its `Domain` is above the session's own host.
        Domain = "domain",
        /// Its name is one of Portico's own.
        Name = "name",
    }
}

label! {
    HandshakeResult, "result" {
        Ok = "ok",
        /// The client went away in the middle, as scanners and health checks do.
        Closed = "closed",
        /// The client refused what it was offered, most often the certificate.
        Alert = "alert",
        /// No version, cipher suite or application protocol in common.
        NothingShared = "nothing_shared",
        /// HTTP without TLS on a port with TLS.
        PlainHttp = "plain_http",
        /// Something that is no TLS, or breaks its rules.
        Malformed = "malformed",
        Timeout = "timeout",
        Io = "io",
    }
}

label! {
    ReloadResult, "result" {
        Ok = "ok",
        /// The certificates that were there before are still in force.
        Failed = "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<L: LabelValue + PartialEq + std::fmt::Debug>() {
        assert_eq!(L::Cells::default().as_ref().len(), L::ALL.len());
        for (index, value) in L::ALL.iter().enumerate() {
            assert_eq!(value.index(), index, "{value:?}");
            let others = L::ALL.iter().filter(|other| other.as_str() == value.as_str());
            assert_eq!(others.count(), 1, "{value:?}");
        }
    }

    #[test]
    fn values_are_distinct_and_in_order() {
        check::<ListenerKind>();
        check::<StatusClass>();
        check::<Direction>();
        check::<Reason>();
        check::<ConnectError>();
        check::<Limit>();
        check::<CookieFault>();
        check::<HandshakeResult>();
        check::<ReloadResult>();
    }

    #[test]
    fn a_status_has_a_class() {
        for (status, class) in [
            (101, Some(StatusClass::Informational)),
            (204, Some(StatusClass::Success)),
            (599, Some(StatusClass::ServerError)),
            (99, None),
            (600, None),
        ] {
            assert_eq!(StatusClass::of(status), class, "{status}");
        }
    }
}
