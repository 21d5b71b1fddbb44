//! Why a request is refused before it reaches a session, and why a session's answer is: the status,
//! the words for the client, and a short constant for the counter and the log.

/// The client's fault. Every one closes the connection: after a message that could not be read, or
/// whose body was not, nothing says where the next one starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the request line or a header field is malformed")]
    Malformed,
    #[error("a line does not end in CR LF")]
    BareLineFeed,
    #[error("the request target is invalid")]
    Target,
    #[error("the Host header is missing")]
    HostMissing,
    #[error("there is more than one Host header")]
    HostRepeated,
    #[error("the Host header is invalid")]
    HostInvalid,
    #[error("the Host header differs from the request target")]
    HostMismatch,
    #[error("Content-Length is repeated or not a number")]
    ContentLength,
    #[error("both Content-Length and Transfer-Encoding are given")]
    LengthAndEncoding,
    #[error("Transfer-Encoding is other than one `chunked`")]
    TransferEncoding,
    #[error("a chunk or a trailer field is malformed")]
    Chunk,
    #[error("the path leads out of the session's prefix")]
    PathEscapes,
    #[error("the body is larger than {} bytes", crate::limits::EDGE_BODY_BYTES_MAX)]
    BodyTooLarge,
    #[error("the expectation in Expect is unknown")]
    Expectation,
    #[error("the request line is longer than {} bytes", crate::limits::REQUEST_LINE_BYTES_MAX)]
    LineTooLong,
    #[error("the header fields are larger than {} bytes", crate::limits::HEAD_BYTES_MAX)]
    HeadTooLarge,
    #[error("there are more than {} header fields", crate::limits::HEAD_FIELDS_MAX)]
    TooManyFields,
    #[error("the method is not allowed here")]
    Method,
    #[error("the HTTP version is not supported")]
    Version,
    #[error("the request took too long to arrive")]
    Timeout,
}

impl Refusal {
    pub const ALL: [Refusal; 20] = [
        Refusal::Malformed,
        Refusal::BareLineFeed,
        Refusal::Target,
        Refusal::HostMissing,
        Refusal::HostRepeated,
        Refusal::HostInvalid,
        Refusal::HostMismatch,
        Refusal::ContentLength,
        Refusal::LengthAndEncoding,
        Refusal::TransferEncoding,
        Refusal::Chunk,
        Refusal::PathEscapes,
        Refusal::BodyTooLarge,
        Refusal::Expectation,
        Refusal::LineTooLong,
        Refusal::HeadTooLarge,
        Refusal::TooManyFields,
        Refusal::Method,
        Refusal::Version,
        Refusal::Timeout,
    ];

    pub fn status(self) -> u16 {
        match self {
            Refusal::Malformed
            | Refusal::BareLineFeed
            | Refusal::Target
            | Refusal::HostMissing
            | Refusal::HostRepeated
            | Refusal::HostInvalid
            | Refusal::HostMismatch
            | Refusal::ContentLength
            | Refusal::LengthAndEncoding
            | Refusal::TransferEncoding
            | Refusal::Chunk
            | Refusal::PathEscapes => 400,
            Refusal::Method => 405,
            Refusal::Timeout => 408,
            Refusal::BodyTooLarge => 413,
            Refusal::LineTooLong => 414,
            Refusal::Expectation => 417,
            Refusal::HeadTooLarge | Refusal::TooManyFields => 431,
            Refusal::Version => 505,
        }
    }

    /// The value of the label `reason` in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Malformed => "malformed",
            Refusal::BareLineFeed => "bare_line_feed",
            Refusal::Target => "target",
            Refusal::HostMissing => "host_missing",
            Refusal::HostRepeated => "host_repeated",
            Refusal::HostInvalid => "host_invalid",
            Refusal::HostMismatch => "host_mismatch",
            Refusal::ContentLength => "content_length",
            Refusal::LengthAndEncoding => "length_and_encoding",
            Refusal::TransferEncoding => "transfer_encoding",
            Refusal::Chunk => "chunk",
            Refusal::PathEscapes => "path_escapes",
            Refusal::BodyTooLarge => "body_too_large",
            Refusal::Expectation => "expectation",
            Refusal::LineTooLong => "line_too_long",
            Refusal::HeadTooLarge => "head_too_large",
            Refusal::TooManyFields => "too_many_fields",
            Refusal::Method => "method",
            Refusal::Version => "version",
            Refusal::Timeout => "timeout",
        }
    }
}

/// The upstream's fault: 502, and its connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GatewayFault {
    #[error("the answer's head is malformed")]
    Head,
    #[error("the answer's head is too large")]
    HeadTooLarge,
    #[error("the answer's framing is ambiguous")]
    Framing,
    #[error("the answer's chunked body is malformed")]
    Chunk,
    #[error("the connection was closed before the answer was complete")]
    Truncated,
    #[error("101 was answered to a request that asked for no upgrade")]
    UnaskedUpgrade,
    #[error("too many interim answers")]
    Interim,
    #[error("bytes came after the end of the answer")]
    Excess,
}
