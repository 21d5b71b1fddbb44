//! HTTP/1.1 (RFC 9110, RFC 9112) without I/O: where a message starts and ends, whether it may pass,
//! and what its head says on the other side. Bytes in, decisions and bytes out.
//!
//! Strict by intent: what two parsers could read in two ways is refused, because the other parser
//! is a tool that we do not know.

pub mod field;
pub mod refusal;
pub mod head;
pub mod request;
pub mod body;
pub mod pace;
pub mod decide;
pub mod client;
pub mod forward;
pub mod cookie;
pub mod flood;
mod frames;
pub mod response;
pub mod exchange;
pub mod websocket;
