//! Templates: the environment images that the platform offers for each tool, and what each of them
//! can do. Which of them exist is the operator's business (settings) and the platform's (API); here
//! is only what they mean for a session. Knows nothing of where they are stored.

mod tag;
mod image;
mod tool;
mod catalogue;
mod environment;
mod record;

use std::str::FromStr;

pub use catalogue::{Catalogue, TemplateRefusal};
pub use image::{Image, ImageError};
pub use tag::{ConnectVersion, ConnectVersionError, ImageTag, TagError};
pub use tool::ToolKind;

use crate::session::{Name, UnknownWord};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub key: Name,
    /// Several templates may be of one tool: an older image beside the current one.
    pub tool: Name,
    pub status: Status,
    /// The image, as `Image::parse` reads it.
    pub repository: String,
    /// The name of a picture, by the rules of a `Name`.
    pub icon: Option<String>,
    /// Where the tool listens in the container, never 0.
    pub port: u16,
    pub path_routing: PathRouting,
}

/// How much the operator stands behind a template, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Recommended,
    Deprecated,
    Experimental,
    Unsupported,
}

/// Whether the tool works below a path that is not its own (`/_studio/<label>/`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRouting {
    Supported {
        /// The first connect client that tells the tool its path; None: every one, or none needed.
        client_version_min: Option<ConnectVersion>,
    },
    Unsupported {
        /// In words for whoever asked for it, to stand behind a colon.
        reason: String,
    },
}

impl Status {
    pub const WORDS: &str = "recommended, deprecated, experimental, unsupported";

    pub fn as_str(self) -> &'static str {
        match self {
            Status::Recommended => "recommended",
            Status::Deprecated => "deprecated",
            Status::Experimental => "experimental",
            Status::Unsupported => "unsupported",
        }
    }
}

impl FromStr for Status {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "recommended" => Ok(Status::Recommended),
            "deprecated" => Ok(Status::Deprecated),
            "experimental" => Ok(Status::Experimental),
            "unsupported" => Ok(Status::Unsupported),
            _ => Err(UnknownWord { expected: Self::WORDS }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_it_is_written() {
        for word in Status::WORDS.split(", ") {
            assert_eq!(word.parse::<Status>().unwrap().as_str(), word);
        }
        assert!("Recommended".parse::<Status>().unwrap_err().to_string().contains("deprecated"));
    }

    #[test]
    fn the_better_supported_sorts_first() {
        assert!(Status::Recommended < Status::Deprecated);
        assert!(Status::Deprecated < Status::Unsupported);
    }
}
