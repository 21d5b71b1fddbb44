//! Templates from settings, in the form that today's installs use:
//! `TOWER_DATA_STUDIO_TEMPLATES_<KEY>_{STATUS,REPOSITORY,ICON,TOOL,PORT}`. The names and values are
//! given by the caller; nothing here reads the environment.

use std::collections::BTreeMap;
use std::fmt;

use super::{Catalogue, Image, ImageError, Status, Template, tool};
use crate::session::{Name, NameError, UnknownWord};

const PREFIX: &str = "TOWER_DATA_STUDIO_TEMPLATES_";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Member {
    Status,
    Repository,
    Icon,
    Tool,
    Port,
}

/// What was set for one key, and what is wrong with it.
struct Wanted<'a> {
    key: &'a Name,
    values: &'a BTreeMap<Member, &'a str>,
    mistakes: Vec<(String, String)>,
}

impl Catalogue {
    /// This catalogue, changed and added to as the settings say; other settings are skipped. New
    /// templates come last, sorted by key: an environment has no order. All mistakes are returned,
    /// each with the setting's name and what is wrong with it.
    pub fn apply_environment<'a>(
        &self,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Catalogue, Vec<(String, String)>> {
        let mut mistakes = Vec::new();
        let mut keys: BTreeMap<Name, BTreeMap<Member, &str>> = BTreeMap::new();
        for (setting, value) in pairs {
            let Some(rest) = setting.strip_prefix(PREFIX) else { continue };
            match key_and_member(rest) {
                Ok((key, member)) => {
                    keys.entry(key).or_default().insert(member, value);
                }
                Err(mistake) => mistakes.push((setting.to_owned(), mistake)),
            }
        }
        let mut next = self.clone();
        for (key, values) in &keys {
            let mut wanted = Wanted { key, values, mistakes: Vec::new() };
            match wanted.template(self) {
                Some(template) if wanted.mistakes.is_empty() => next = next.with(template),
                _ => mistakes.append(&mut wanted.mistakes),
            }
        }
        if mistakes.is_empty() { Ok(next) } else { Err(mistakes) }
    }
}

impl Wanted<'_> {
    /// None only when there are mistakes.
    fn template(&mut self, catalogue: &Catalogue) -> Option<Template> {
        // Each is read before the first `?`, or its mistakes would wait for the next start.
        let status = self.read(Member::Status, parse_status);
        let repository = self.read(Member::Repository, parse_repository);
        let icon = self.read(Member::Icon, parse_icon);
        let tool = self.read(Member::Tool, str::parse::<Name>);
        let port = self.read(Member::Port, parse_port);
        let mut template = match catalogue.find(self.key) {
            Some(template) => template.clone(),
            None => {
                self.require(Member::Repository, catalogue);
                self.require(Member::Tool, catalogue);
                new_template(self.key, tool.clone()?, repository.clone()?)
            }
        };
        if let Some(tool) = tool {
            if !tool::is_same(&tool, &template.tool) {
                template.port = tool::port(&tool);
                template.path_routing = tool::path_routing(&tool);
            }
            template.tool = tool;
        }
        template.status = status.unwrap_or(template.status);
        template.repository = repository.unwrap_or(template.repository);
        template.icon = icon.unwrap_or(template.icon);
        template.port = port.unwrap_or(template.port);
        Some(template)
    }

    /// None for a member that is not set, or whose mistake is kept.
    fn read<T, E: fmt::Display>(
        &mut self,
        member: Member,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(self.values.get(&member)?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.mistakes.push((setting(self.key, member), error.to_string()));
                None
            }
        }
    }

    fn require(&mut self, member: Member, catalogue: &Catalogue) {
        if self.values.contains_key(&member) {
            return;
        }
        let like = catalogue.templates().iter().find(|old| tool::is_same(&old.key, self.key));
        let mistake = match like {
            Some(old) => {
                format!("is missing for a new template; or write the key as `{}`", old.key)
            }
            None => "is missing for a new template".to_owned(),
        };
        self.mistakes.push((setting(self.key, member), mistake));
    }
}

impl Member {
    const ALL: [Member; 5] =
        [Member::Status, Member::Repository, Member::Icon, Member::Tool, Member::Port];

    fn as_str(self) -> &'static str {
        match self {
            Member::Status => "STATUS",
            Member::Repository => "REPOSITORY",
            Member::Icon => "ICON",
            Member::Tool => "TOOL",
            Member::Port => "PORT",
        }
    }
}

fn setting(key: &Name, member: Member) -> String {
    format!("{PREFIX}{key}_{}", member.as_str())
}

fn key_and_member(rest: &str) -> Result<(Name, Member), String> {
    let split = rest.rsplit_once('_').and_then(|(key, word)| {
        let member = Member::ALL.into_iter().find(|member| member.as_str() == word)?;
        Some((key, member))
    });
    let Some((key, member)) = split else {
        let words = Member::ALL.map(Member::as_str).join(", _");
        return Err(format!("does not end in one of _{words} behind the template's key"));
    };
    if key.contains('_') {
        return Err(format!("has '_' in the template's key; write it `{}`", key.replace('_', "-")));
    }
    let key = key.parse().map_err(|error: NameError| format!("has a key that {error}"))?;
    Ok((key, member))
}

/// What a template is that has but these two settings.
fn new_template(key: &Name, tool: Name, repository: String) -> Template {
    Template {
        key: key.clone(),
        status: Status::Unsupported,
        repository,
        icon: None,
        port: tool::port(&tool),
        path_routing: tool::path_routing(&tool),
        tool,
    }
}

/// Installers write an empty one for a template without a status, which is an unsupported one.
fn parse_status(text: &str) -> Result<Status, UnknownWord> {
    if text.is_empty() { Ok(Status::Unsupported) } else { text.parse() }
}

fn parse_repository(text: &str) -> Result<String, ImageError> {
    Image::parse(text).map(|image| image.to_string())
}

fn parse_icon(text: &str) -> Result<Option<String>, NameError> {
    if text.is_empty() { Ok(None) } else { text.parse().map(|name: Name| Some(name.to_string())) }
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    match text.parse() {
        Ok(port @ 1..) => Ok(port),
        _ => Err("is not a port, 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::PathRouting;
    use super::*;

    fn applied(settings: &[(&str, &str)]) -> Result<Catalogue, Vec<(String, String)>> {
        let named: Vec<_> =
            settings.iter().map(|(rest, value)| (format!("{PREFIX}{rest}"), *value)).collect();
        let pairs = named.iter().map(|(setting, value)| (setting.as_str(), *value));
        Catalogue::builtin().apply_environment(pairs)
    }

    fn template(settings: &[(&str, &str)], key: &str) -> Template {
        let catalogue = applied(settings).unwrap();
        catalogue.find(&key.parse().unwrap()).unwrap().clone()
    }

    #[test]
    fn other_settings_are_skipped() {
        let pairs = [("PATH", "/bin"), ("TOWER_DATA_STUDIO_CONNECT_URL", "x")];
        assert_eq!(Catalogue::builtin().apply_environment(pairs), Ok(Catalogue::builtin()));
    }

    #[test]
    fn a_built_in_template_is_changed_in_its_place() {
        let changed = applied(&[("vscode_STATUS", "deprecated"), ("vscode_PORT", "3001")]).unwrap();
        let mut expected = Catalogue::builtin().templates()[2].clone();
        expected.status = Status::Deprecated;
        expected.port = 3001;
        assert_eq!(changed.templates()[2], expected);
        assert_eq!(changed.templates().len(), 4);

        let empty = template(&[("xpra_STATUS", ""), ("xpra_ICON", "")], "xpra");
        assert_eq!((empty.status, empty.icon), (Status::Unsupported, None));
    }

    /// As a public installer writes them.
    #[test]
    fn a_new_template_takes_what_is_known_of_its_tool() {
        let image = "public.cr.seqera.io/platform/data-studio-ride:2025.04.1-0.8.5";
        let settings = [
            ("RIDE-2025-04-1-0-8-5_ICON", "rstudio"),
            ("RIDE-2025-04-1-0-8-5_REPOSITORY", image),
            ("RIDE-2025-04-1-0-8-5_TOOL", "rstudio"),
            ("RIDE-2025-04-1-0-8-5_STATUS", "recommended"),
        ];
        let builtin = Catalogue::builtin().templates()[1].clone();
        let key: Name = "RIDE-2025-04-1-0-8-5".parse().unwrap();
        let expected = Template { key, repository: image.to_owned(), ..builtin };
        assert_eq!(template(&settings, "RIDE-2025-04-1-0-8-5"), expected);

        let custom = template(&[("m_TOOL", "marimo"), ("m_REPOSITORY", "quay.io/me/m")], "m");
        assert_eq!((custom.status, custom.port, custom.icon), (Status::Unsupported, 8080, None));
        assert_eq!(custom.path_routing, PathRouting::Supported { client_version_min: None });
    }

    #[test]
    fn new_templates_are_sorted_whatever_the_order_of_the_settings() {
        let mut settings =
            [("b_TOOL", "x"), ("b_REPOSITORY", "x"), ("a_TOOL", "x"), ("a_REPOSITORY", "x")];
        let one = applied(&settings).unwrap();
        settings.reverse();
        assert_eq!(applied(&settings).unwrap(), one);
        assert_eq!(one.templates()[4].key.as_str(), "a");
    }

    #[test]
    fn another_tool_brings_its_own_port_and_abilities() {
        let moved = template(&[("jupyter_TOOL", "xpra")], "jupyter");
        assert_eq!(moved.port, 14500);
        assert!(matches!(moved.path_routing, PathRouting::Unsupported { .. }));
        assert_eq!(template(&[("jupyter_TOOL", "xpra"), ("jupyter_PORT", "1")], "jupyter").port, 1);
        let renamed = template(&[("rstudio_TOOL", "ride"), ("rstudio_PORT", "1")], "rstudio");
        assert_eq!((renamed.tool.as_str(), renamed.port), ("ride", 1));
    }

    #[test]
    fn every_mistake_is_told_with_its_setting() {
        let settings = [
            ("jupyter_STATUS", "recomended"),
            ("jupyter_PORT", "0"),
            ("jupyter_REPOSITORY", "https://x"),
            ("jupyter_TOOL", ""),
            ("jupyter_ICON", "a b"),
            ("my_tool_STATUS", "deprecated"),
            ("_STATUS", "deprecated"),
            ("jupyter_COLOUR", "red"),
            ("STATUS", "deprecated"),
            ("new_ICON", "x"),
            ("other_TOOL", "x"),
            ("JUPYTER_STATUS", "deprecated"),
        ];
        let found = applied(&settings).unwrap_err();
        let expected = [
            ("my_tool_STATUS", "write it `my-tool`"),
            ("_STATUS", "has a key that must have 1 to 128 characters"),
            ("jupyter_COLOUR", "_STATUS, _REPOSITORY, _ICON, _TOOL, _PORT"),
            ("STATUS", "does not end in one of"),
            ("JUPYTER_REPOSITORY", "write the key as `jupyter`"),
            ("JUPYTER_TOOL", "write the key as `jupyter`"),
            ("jupyter_STATUS", "recommended, deprecated, experimental, unsupported"),
            ("jupyter_REPOSITORY", "starts with a scheme"),
            ("jupyter_ICON", "not visible ASCII"),
            ("jupyter_TOOL", "must have 1 to 128 characters"),
            ("jupyter_PORT", "1 to 65535"),
            ("new_REPOSITORY", "is missing for a new template"),
            ("new_TOOL", "is missing for a new template"),
            ("other_REPOSITORY", "is missing for a new template"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for ((setting, mistake), (rest, part)) in found.iter().zip(expected) {
            assert_eq!(*setting, format!("{PREFIX}{rest}"));
            assert!(mistake.contains(part), "{setting}: {mistake}");
        }
    }
}
