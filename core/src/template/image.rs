//! References to container images, by the grammar of the registries (OCI distribution specification
//! 1.1, "Pulling manifests"; Docker's for the registry part). Nothing here asks a registry.

use std::fmt;
use std::net::Ipv6Addr;

use super::tag::{ImageTag, TagError, number};

/// Registries and clients cut off here: a repository's name with its registry.
const REPOSITORY_BYTES_MAX: usize = 255;

/// `registry[:port]/path/name[:tag][@digest]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    repository: Box<str>,
    tag: Option<ImageTag>,
    digest: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    #[error("is empty")]
    Empty,
    #[error("has a name of more than {REPOSITORY_BYTES_MAX} characters")]
    TooLong,
    #[error("starts with a scheme; write registry/path/name:tag")]
    Scheme,
    #[error("has no valid registry before its first '/'")]
    Registry,
    #[error("has {part:?} in its name, which is not a-z and 0-9 with single . _ - between")]
    Part { part: String },
    #[error("has a tag that {0}")]
    Tag(TagError),
    #[error("has a digest that is neither sha256: with 64 nor sha512: with 128 digits of 0-9 a-f")]
    Digest,
}

impl Image {
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        if text.contains("://") {
            return Err(ImageError::Scheme);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((_, digest)) if !is_digest(digest) => return Err(ImageError::Digest),
            Some((rest, digest)) => (rest, Some(digest.into())),
            None => (text, None),
        };
        // A colon before the last slash is that of the registry's port.
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => {
                (repository, Some(ImageTag::parse(tag).map_err(ImageError::Tag)?))
            }
            _ => (rest, None),
        };
        Ok(Self { repository: parse_repository(repository)?.into(), tag, digest })
    }

    /// Without tag and digest, with the registry in lower case.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> Option<&ImageTag> {
        self.tag.as_ref()
    }

    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{}", tag.as_str())?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// The two algorithms that the OCI image specification 1.1 registers.
fn is_digest(text: &str) -> bool {
    let digits = match text.split_once(':') {
        Some(("sha256", hex)) if hex.len() == 64 => hex,
        Some(("sha512", hex)) if hex.len() == 128 => hex,
        _ => return false,
    };
    digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The first part is a registry when it could not be a part of a path, as for `docker pull`.
fn parse_repository(text: &str) -> Result<String, ImageError> {
    if text.is_empty() {
        return Err(ImageError::Empty);
    }
    if text.len() > REPOSITORY_BYTES_MAX {
        return Err(ImageError::TooLong);
    }
    let (registry, path) = match text.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => {
            (Some(first.to_ascii_lowercase()), path)
        }
        _ => (None, text),
    };
    if registry.as_deref().is_some_and(|registry| !is_registry(registry)) {
        return Err(ImageError::Registry);
    }
    if let Some(part) = path.split('/').find(|part| !is_path_part(part)) {
        return Err(ImageError::Part { part: part.to_owned() });
    }
    Ok(match registry {
        Some(registry) => format!("{registry}/{path}"),
        None => path.to_owned(),
    })
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_label = |label: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty() && label.bytes().all(allowed) && !label.starts_with('-')
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    let is_port = |port: &str| number(port).is_some_and(|port| (1..=65_535).contains(&port));
    is_host && port.is_none_or(is_port)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_part(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator = |run: &str| matches!(run, "." | "_" | "__") || run.bytes().all(|b| b == b'-');
    part.starts_with(plain) && part.ends_with(plain) && part.split(plain).all(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_repository_and_perhaps_a_tag_and_a_digest() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (text, repository, tag) in [
            ("jupyter", "jupyter", None),
            ("jupyter:4.2.5-0.12", "jupyter", Some("4.2.5-0.12")),
            ("me/my_tool.x:latest", "me/my_tool.x", Some("latest")),
            ("localhost/x", "localhost/x", None),
            ("localhost:5000/a/b", "localhost:5000/a/b", None),
            ("localhost:5000/a/b:1", "localhost:5000/a/b", Some("1")),
            ("[::1]:5000/a:1", "[::1]:5000/a", Some("1")),
            ("[fd00::1]/a", "[fd00::1]/a", None),
            (
                "public.cr.seqera.io/platform/data-studio-xpra:6.2.0-r2-1-0.12",
                "public.cr.seqera.io/platform/data-studio-xpra",
                Some("6.2.0-r2-1-0.12"),
            ),
        ] {
            let image = Image::parse(text).unwrap();
            assert_eq!((image.repository(), image.digest()), (repository, None), "{text}");
            assert_eq!(image.tag().map(ImageTag::as_str), tag, "{text}");
            assert_eq!(image.to_string(), text);

            let pinned = format!("{text}@{digest}");
            let image = Image::parse(&pinned).unwrap();
            assert_eq!((image.repository(), image.digest()), (repository, Some(digest.as_str())));
            assert_eq!(image.to_string(), pinned);
        }
        assert_eq!(Image::parse("Quay.IO/a").unwrap().repository(), "quay.io/a");
    }

    #[test]
    fn what_is_no_image() {
        let part = |part: &str| ImageError::Part { part: part.to_owned() };
        for (text, why) in [
            ("", ImageError::Empty),
            (":1", ImageError::Empty),
            (&"a".repeat(256), ImageError::TooLong),
            ("https://quay.io/a", ImageError::Scheme),
            ("-a.b/c", ImageError::Registry),
            ("a..b/c", ImageError::Registry),
            ("quay.io:0/a", ImageError::Registry),
            ("quay.io:70000/a", ImageError::Registry),
            ("quay.io:/a", ImageError::Registry),
            ("[::x]:80/a", ImageError::Registry),
            ("Jupyter", part("Jupyter")),
            ("quay.io/a//b", part("")),
            ("quay.io/", part("")),
            ("quay.io/a b", part("a b")),
            ("quay.io/a_", part("a_")),
            ("quay.io/a..b", part("a..b")),
            ("a:b:c", part("a:b")),
            ("a:", ImageError::Tag(TagError::Empty)),
            ("a:1+2", ImageError::Tag(TagError::Character)),
            ("a@", ImageError::Digest),
            ("a@sha256:abc", ImageError::Digest),
            (&format!("a@md5:{}", "0".repeat(32)), ImageError::Digest),
            (&format!("a@sha256:{}", "A".repeat(64)), ImageError::Digest),
        ] {
            assert_eq!(Image::parse(text), Err(why), "{text}");
        }
        let error = Image::parse("a:-1").unwrap_err().to_string();
        assert_eq!(error, "has a tag that starts with '.' or '-'");
    }
}
