//! The operations that describe this API. They answer everybody: a browser cannot be made to send
//! a bearer token with a page, so a page behind one would be read by nobody. What they say is the
//! same for every Portico of this version of the API and stands in its source; nothing of this
//! install, not even which build it runs, is in them. They are made once, so that answering costs
//! no more than refusing would.

use super::super::operation::Method::Get;
use super::super::operation::{Answer, Content, Operation, Tag};
use super::super::{docs, openapi};

pub fn all() -> Vec<Operation> {
    vec![
        Operation::new(Get, "/v1/openapi.json", openapi::show)
            .named("readOpenApi", Tag::Documents, "This document")
            .answering(Answer::new(200, "OpenAPI 3.1.", Content::ForeignJson)),
        Operation::new(Get, "/v1/docs", docs::show)
            .named("readDocs", Tag::Documents, "This document as a page")
            .answering(Answer::new(200, "To be read in a browser.", Content::Html)),
    ]
}
