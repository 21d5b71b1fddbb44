//! A policy's JSON: the documents of today's system, and what Portico has more. Everything wrong is
//! told at once, each with its place and what to write there.

mod reader;

use std::fmt;

use serde_json::Value;

use super::amount;
use super::policy::{
    Action, Bucket, Extractor, Kind, Policy, Protocol, Quota, Source, Span, TokenPlace, Unverified,
};
use crate::limits;
use crate::session::Name;
use reader::{Object, Reader, is_token};

/// What is wrong, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// `buckets[0].quotas[1].bytes`; empty for the whole document.
    pub path: String,
    pub text: String,
}

/// What is no mistake, but may not be what its author thinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub path: String,
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        told(&self.path, &self.text, f)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        told(&self.path, &self.text, f)
    }
}

fn told(path: &str, text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match path {
        "" => write!(f, "the policy {text}"),
        path => write!(f, "{path} {text}"),
    }
}

/// What a `header` extractor of today's system calls the user.
const USER_FIELD: &str = "X-Connect-Sub";

impl Policy {
    pub fn parse(bytes: &[u8]) -> Result<(Self, Vec<Note>), Vec<Mistake>> {
        let mut reader = Reader::default();
        let policy = reader.policy(bytes);
        match reader.mistakes.is_empty() {
            true => Ok((policy, reader.notes)),
            false => Err(reader.mistakes),
        }
    }
}

impl Reader {
    fn policy(&mut self, bytes: &[u8]) -> Policy {
        if bytes.len() > limits::QUOTA_POLICY_BYTES_MAX {
            let max = limits::QUOTA_POLICY_BYTES_MAX;
            self.wrong("", format!("has more than {max} bytes: write fewer buckets"));
            return Policy::default();
        }
        let json = match serde_json::from_slice::<Value>(bytes) {
            Ok(json) => json,
            Err(error) => {
                self.wrong("", format!("is not JSON ({error}): write {{\"buckets\": […]}}"));
                return Policy::default();
            }
        };
        let Some(object) = self.object(&json, String::new(), &["buckets"]) else {
            return Policy::default();
        };
        let mut buckets: Vec<Bucket> = Vec::new();
        let values = self.array(&object, "buckets", 0, limits::QUOTA_BUCKETS_MAX);
        for (at, value) in values.iter().enumerate() {
            let path = format!("buckets[{at}]");
            if let Some(bucket) = self.bucket(value, path.clone()) {
                if buckets.iter().any(|other| other.name == bucket.name) {
                    self.wrong(
                        format!("{path}.name"),
                        format!(
                            "`{}` is the name of a bucket before it: write another",
                            bucket.name
                        ),
                    );
                }
                buckets.push(bucket);
            }
        }
        Policy { buckets }
    }

    fn bucket(&mut self, value: &Value, path: String) -> Option<Bucket> {
        let object = self.object(value, path, &["name", "quotas", "extractors"])?;
        let name = self.text(&object, "name").and_then(|text| match text.parse::<Name>() {
            Ok(name) => Some(name),
            Err(error) => {
                self.wrong(object.at("name"), format!("{error}: write a short word"));
                None
            }
        });
        let mut quotas = Vec::new();
        for (at, value) in
            self.array(&object, "quotas", 1, limits::QUOTAS_PER_BUCKET_MAX).iter().enumerate()
        {
            quotas.extend(self.quota(value, format!("{}[{at}]", object.at("quotas"))));
        }
        let mut extractors = Vec::new();
        for (at, value) in
            self.array(&object, "extractors", 1, limits::QUOTA_EXTRACTORS_MAX).iter().enumerate()
        {
            extractors.extend(self.extractor(value, format!("{}[{at}]", object.at("extractors"))));
        }
        if !extractors.is_empty() && !extractors.iter().any(Extractor::applies) {
            self.note(object.path.as_str(), "counts nothing here: all its extractors are for ssh");
        }
        Some(Bucket { name: name?, quotas, extractors })
    }

    fn quota(&mut self, value: &Value, path: String) -> Option<Quota> {
        let names = ["bytes", "window", "kind", "on_exceed", "bytes_per_second"];
        let object = self.object(value, path, &names)?;
        let bytes = self.bytes(&object, "bytes");
        let length = self.text(&object, "window").and_then(|text| {
            let bounds = limits::QUOTA_WINDOW_MIN..=limits::QUOTA_WINDOW_MAX;
            let length = amount::duration(text).filter(|length| bounds.contains(length));
            if length.is_none() {
                let text = format!("`{text}` is not a time of 1s to 8784h: write one as \"24h\"");
                self.wrong(object.at("window"), text);
            }
            length
        });
        let kinds = |word: &str| match word {
            "fixed" => Some(Kind::Fixed),
            "sliding" => Some(Kind::Sliding),
            _ => None,
        };
        let kind = self.word(&object, "kind", Kind::WORDS, "fixed", kinds);
        let word = self.word(&object, "on_exceed", Action::WORDS, "deny", |word| {
            Action::WORDS.split(", ").find(|known| *known == word)
        });
        let pace = object.members.contains_key("bytes_per_second");
        let on_exceed = match word? {
            "throttle" => self
                .bytes(&object, "bytes_per_second")
                .map(|bytes_per_second| Action::Throttle { bytes_per_second }),
            word => {
                if pace {
                    let text = "is for \"on_exceed\": \"throttle\": leave it out, or write that";
                    self.wrong(object.at("bytes_per_second"), text);
                }
                Some(if word == "warn" { Action::Warn } else { Action::Deny })
            }
        };
        let span = Span { kind: kind?, length: length? };
        Some(Quota { bytes: bytes?, span, on_exceed: on_exceed? })
    }

    fn extractor(&mut self, value: &Value, path: String) -> Option<Extractor> {
        let object = self.object(value, path, &["protocol", "source"])?;
        let protocols = |word: &str| match word {
            "http" => Some(Protocol::Http),
            "ssh" => Some(Protocol::Ssh),
            "any" => Some(Protocol::Any),
            _ => None,
        };
        let protocol = self.word(&object, "protocol", Protocol::WORDS, "any", protocols);
        let source = match object.members.get("source") {
            Some(source) => self.source(source, object.at("source")),
            None => {
                let text = "is missing: write as {\"type\": \"client_ip\"}";
                self.wrong(object.at("source"), text);
                None
            }
        };
        let extractor = Extractor { protocol: protocol?, source: source? };
        if !extractor.applies() {
            let text = "is for ssh, which does not pass here: it never applies";
            self.note(object.path.as_str(), text);
        }
        Some(extractor)
    }

    fn source(&mut self, value: &Value, path: String) -> Option<Source> {
        let names = ["type", "name", "field", "token", "claim", "accept_unverified"];
        let object = self.object(value, path, &names)?;
        let kind = self.text(&object, "type")?;
        let (source, takes): (_, &[&str]) = match kind {
            "header" => (self.header(&object), &["name"]),
            "permissions" => {
                let field = self.text(&object, "field");
                (field.map(|field| Source::Permissions { field: field.into() }), &["field"])
            }
            "jwt" => (self.jwt(&object), &["token", "claim", "accept_unverified"]),
            "client_ip" => (Some(Source::ClientIp), &[]),
            "workspace" => (Some(Source::Workspace), &[]),
            "session" => (Some(Source::Session), &[]),
            "user" => (Some(Source::User), &[]),
            kind => {
                const KINDS: &str = "client_ip, user, workspace, session, header, jwt, permissions";
                let text = format!("`{kind}` is not one of {KINDS}: write one of them");
                self.wrong(object.at("type"), text);
                return None;
            }
        };
        for name in object.members.keys().filter(|name| *name != "type") {
            if names.contains(&name.as_str()) && !takes.contains(&name.as_str()) {
                self.wrong(object.at(name), format!("means nothing to a {kind}: leave it out"));
            }
        }
        source
    }

    fn header(&mut self, object: &Object<'_>) -> Option<Source> {
        let name = self.token(object, "name")?;
        if name.eq_ignore_ascii_case(USER_FIELD) {
            self.note(object.path.as_str(), "is the user whom the edge knows, as a `user` is");
            return Some(Source::User);
        }
        let text = "is what the client sends, unless a proxy in front writes it: who sends another \
                    value is counted elsewhere";
        self.note(object.path.as_str(), text);
        Some(Source::Header { name: name.into() })
    }

    fn jwt(&mut self, object: &Object<'_>) -> Option<Source> {
        let token = self.text(object, "token").and_then(|text| {
            let (place, name): (fn(Box<str>) -> TokenPlace, _) = match text.split_once(':') {
                Some(("header", name)) => (TokenPlace::Field, name),
                Some(("cookie", name)) => (TokenPlace::Cookie, name),
                _ => (TokenPlace::Either, text),
            };
            if !is_token(name) {
                let text = format!(
                    "`{text}` is not the name of a field or a cookie: write \
                     \"header:Authorization\" or \"cookie:name\""
                );
                self.wrong(object.at("token"), text);
                return None;
            }
            Some(place(name.into()))
        });
        let claim = self.text(object, "claim");
        let unverified = match object.members.get("accept_unverified") {
            None | Some(Value::Bool(false)) => {
                let text = "is read only from requests through `trusted_networks`, because its \
                            signature is not verified here";
                self.note(object.path.as_str(), text);
                Unverified::OfTrusted
            }
            Some(Value::Bool(true)) => {
                let text = "is read from anybody, unverified: a client can forge it, to be counted \
                            as nobody, or as somebody else, whose quota it then uses up";
                self.note(object.path.as_str(), text);
                Unverified::OfAnybody
            }
            Some(_) => {
                self.wrong(object.at("accept_unverified"), "must be true or false: write one");
                return None;
            }
        };
        Some(Source::Jwt { token: token?, claim: claim?.into(), unverified })
    }
}

#[cfg(test)]
#[path = "tests/parse.rs"]
mod tests;
