//! The stored form of a template, by the rules of a session's (`crate::record`): versioned JSON
//! bytes, parsed back into the domain type. Which store holds them is none of this file's business.

use serde::{Deserialize, Serialize};

use super::{ConnectVersion, Image, PathRouting, Status, Template};
use crate::record::{RecordError, member, of_form};
use crate::session::{Name, UnknownWord};

/// The form written here. An addition that an older Portico may ignore keeps the number (unknown
/// members are skipped when read); anything else raises it.
const FORM: u32 = 1;

const SUPPORTED: &str = "supported";
const UNSUPPORTED: &str = "unsupported";

#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    key: String,
    tool: String,
    status: String,
    repository: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    icon: Option<String>,
    /// Wider than a port, so that one that is none is told by its name.
    port: u64,
    path_routing: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_version_min: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_refusal: Option<String>,
}

impl Template {
    pub fn encode(&self) -> Vec<u8> {
        let (path_routing, client_version_min, path_refusal) = match &self.path_routing {
            PathRouting::Supported { client_version_min } => (SUPPORTED, *client_version_min, None),
            PathRouting::Unsupported { reason } => (UNSUPPORTED, None, Some(reason.clone())),
        };
        let wire = Wire {
            v: FORM,
            key: self.key.to_string(),
            tool: self.tool.to_string(),
            status: self.status.as_str().to_owned(),
            repository: self.repository.clone(),
            icon: self.icon.clone(),
            port: self.port.into(),
            path_routing: path_routing.to_owned(),
            client_version_min: client_version_min.map(|version| version.to_string()),
            path_refusal,
        };
        serde_json::to_vec(&wire).expect("strings and numbers always have a JSON form")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let wire: Wire = of_form(bytes, FORM)?;
        member("repository", Image::parse(&wire.repository))?;
        let icon = wire.icon.as_deref().map(str::parse::<Name>);
        let port = match u16::try_from(wire.port) {
            Ok(port @ 1..) => Ok(port),
            _ => Err("is not a port, 1 to 65535"),
        };
        Ok(Self {
            key: member("key", wire.key.parse())?,
            tool: member("tool", wire.tool.parse())?,
            status: member("status", wire.status.parse::<Status>())?,
            icon: member("icon", icon.transpose())?.map(|name| name.to_string()),
            port: member("port", port)?,
            path_routing: path_routing(&wire)?,
            repository: wire.repository,
        })
    }
}

fn path_routing(wire: &Wire) -> Result<PathRouting, RecordError> {
    let version = wire.client_version_min.as_deref().map(str::parse::<ConnectVersion>);
    let client_version_min = member("client_version_min", version.transpose())?;
    match (wire.path_routing.as_str(), client_version_min, &wire.path_refusal) {
        (SUPPORTED, client_version_min, None) => Ok(PathRouting::Supported { client_version_min }),
        (UNSUPPORTED, None, Some(reason)) => {
            Ok(PathRouting::Unsupported { reason: reason.clone() })
        }
        (SUPPORTED | UNSUPPORTED, ..) => {
            member("path_routing", Err("contradicts `client_version_min` or `path_refusal`"))
        }
        _ => member("path_routing", Err(UnknownWord { expected: "supported, unsupported" })),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Catalogue;
    use super::*;

    fn ride() -> Template {
        Template { status: Status::Deprecated, ..Catalogue::builtin().templates()[1].clone() }
    }

    fn xpra() -> Template {
        Template { icon: None, ..Catalogue::builtin().templates()[3].clone() }
    }

    fn edited(template: &Template, from: &str, to: &str) -> Result<Template, RecordError> {
        let text = String::from_utf8(template.encode()).unwrap();
        assert!(text.contains(from), "{text}");
        Template::decode(text.replace(from, to).as_bytes())
    }

    #[test]
    fn what_was_written_is_read() {
        let path_routing = PathRouting::Supported { client_version_min: None };
        let custom = Template { path_routing, ..xpra() };
        for template in Catalogue::builtin().templates().iter().chain([&ride(), &xpra(), &custom]) {
            assert_eq!(Template::decode(&template.encode()).unwrap(), *template);
        }
    }

    /// The stored bytes of form 1 never change: stores out there hold them.
    #[test]
    fn form_1_is_fixed() {
        let value = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
        for (bytes, template) in [
            (
                r#"{"v":1,"key":"rstudio","tool":"rstudio","status":"deprecated",
                "repository":"public.cr.seqera.io/platform/data-studio-ride:2026.01.2-0.12",
                "icon":"rstudio","port":8787,"path_routing":"supported",
                "client_version_min":"0.8.5"}"#,
                ride(),
            ),
            (
                r#"{"v":1,"key":"xpra","tool":"xpra","status":"recommended",
                "repository":"public.cr.seqera.io/platform/data-studio-xpra:6.2.0-r2-1-0.12",
                "port":14500,"path_routing":"unsupported",
                "path_refusal":"its image has no setting for a path in front of it"}"#,
                xpra(),
            ),
        ] {
            assert_eq!(Template::decode(bytes.as_bytes()).unwrap(), template);
            assert_eq!(value(&template.encode()), value(bytes.as_bytes()));
        }
    }

    #[test]
    fn a_newer_form_is_refused_and_an_unknown_member_is_not() {
        let newer = edited(&ride(), "\"v\":1", "\"v\":2");
        assert!(matches!(newer, Err(RecordError::Newer { found: 2, .. })));
        let newer = Template::decode(br#"{"v":9}"#);
        assert!(matches!(newer, Err(RecordError::Newer { found: 9, .. })));
        assert_eq!(edited(&ride(), "\"v\":1", "\"v\":1,\"later\":[1]").unwrap(), ride());
    }

    #[test]
    fn damage_is_an_error_that_names_the_member() {
        assert!(matches!(Template::decode(b""), Err(RecordError::Json(_))));
        assert!(matches!(Template::decode(br#"{"v":1}"#), Err(RecordError::Json(_))));
        for (template, from, to, name) in [
            (ride(), "\"key\":\"rstudio\"", "\"key\":\"\"", "key"),
            (ride(), "\"tool\":\"rstudio\"", "\"tool\":\"r studio\"", "tool"),
            (ride(), "\"deprecated\"", "\"old\"", "status"),
            (ride(), "public.cr", "https://public.cr", "repository"),
            (ride(), "\"icon\":\"rstudio\"", "\"icon\":\"\"", "icon"),
            (ride(), "8787", "0", "port"),
            (ride(), "8787", "70000", "port"),
            (ride(), "\"supported\"", "\"perhaps\"", "path_routing"),
            (ride(), "\"supported\"", "\"unsupported\"", "path_routing"),
            (ride(), "0.8.5", "0.8.x", "client_version_min"),
            (xpra(), "\"unsupported\"", "\"supported\"", "path_routing"),
            (xpra(), "\"path_refusal\"", "\"reason\"", "path_routing"),
        ] {
            let Err(RecordError::Member { member, .. }) = edited(&template, from, to) else {
                panic!("{from} -> {to} was read");
            };
            assert_eq!(member, name);
        }
    }
}
