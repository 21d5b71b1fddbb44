//! The tools that Portico knows from the start, and what they can do: names, ports and images of
//! the platform's own templates, which are public. Any other tool is a custom one, of which nothing
//! is known and to which nothing is forbidden.

use super::{ConnectVersion, PathRouting, Status, Template};
use crate::session::Name;

/// The connect client tells the tool its port (`CONNECT_TOOL_PORT`), so for a custom one any will
/// do that needs no privilege.
const CUSTOM_PORT: u16 = 8080;

/// Which tool it is, for what is done differently for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ToolKind {
    Jupyter,
    Rstudio,
    Vscode,
    Xpra,
    #[default]
    Other,
}

impl ToolKind {
    pub fn of(tool: &Name) -> Self {
        known(tool).map_or(Self::Other, |known| known.kind)
    }
}

/// In the order in which the catalogue shows them.
static KNOWN: [Known; 4] = [
    Known {
        kind: ToolKind::Jupyter,
        name: "jupyter",
        aliases: &[],
        image: "public.cr.seqera.io/platform/data-studio-jupyter:4.2.5-0.12",
        port: 8080,
        path: Ok(ConnectVersion { major: 0, minor: 8, patch: Some(4) }),
    },
    Known {
        kind: ToolKind::Rstudio,
        name: "rstudio",
        // The tool was renamed to R-IDE, its repository to `ride`; the name in settings was not.
        aliases: &["ride", "r-ide"],
        image: "public.cr.seqera.io/platform/data-studio-ride:2026.01.2-0.12",
        port: 8787,
        // The first whose image has a server in front that takes the path away again.
        path: Ok(ConnectVersion { major: 0, minor: 8, patch: Some(5) }),
    },
    Known {
        kind: ToolKind::Vscode,
        name: "vscode",
        aliases: &[],
        image: "public.cr.seqera.io/platform/data-studio-vscode:1.101.2-0.12",
        port: 3000,
        path: Ok(ConnectVersion { major: 0, minor: 8, patch: Some(4) }),
    },
    Known {
        kind: ToolKind::Xpra,
        name: "xpra",
        aliases: &[],
        image: "public.cr.seqera.io/platform/data-studio-xpra:6.2.0-r2-1-0.12",
        port: 14500,
        path: Err("its image has no setting for a path in front of it"),
    },
];

struct Known {
    kind: ToolKind,
    /// Of the tool, of its template, and of its icon.
    name: &'static str,
    aliases: &'static [&'static str],
    image: &'static str,
    port: u16,
    /// The connect client needed for path routing, or why there is none.
    path: Result<ConnectVersion, &'static str>,
}

/// The built-in templates, one of each tool.
pub(super) fn templates() -> impl Iterator<Item = Template> {
    KNOWN.iter().map(|known| Template {
        key: known.name(),
        tool: known.name(),
        status: Status::Recommended,
        repository: known.image.to_owned(),
        icon: Some(known.name.to_owned()),
        port: known.port,
        path_routing: known.path_routing(),
    })
}

/// Names of one tool differ in case, and some have aliases.
pub(super) fn is_same(one: &Name, other: &Name) -> bool {
    match (known(one), known(other)) {
        (Some(one), Some(other)) => one.name == other.name,
        (None, None) => one.as_str().eq_ignore_ascii_case(other.as_str()),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Where a tool listens unless its template says otherwise.
pub(super) fn port(tool: &Name) -> u16 {
    known(tool).map_or(CUSTOM_PORT, |known| known.port)
}

pub(super) fn path_routing(tool: &Name) -> PathRouting {
    match known(tool) {
        Some(known) => known.path_routing(),
        None => PathRouting::Supported { client_version_min: None },
    }
}

impl Known {
    fn name(&self) -> Name {
        self.name.parse().expect("the table's names are lower-case words")
    }

    fn path_routing(&self) -> PathRouting {
        match self.path {
            Ok(needed) => PathRouting::Supported { client_version_min: Some(needed) },
            Err(reason) => PathRouting::Unsupported { reason: reason.to_owned() },
        }
    }
}

fn known(tool: &Name) -> Option<&'static Known> {
    let is_it = |name: &str| tool.as_str().eq_ignore_ascii_case(name);
    KNOWN.iter().find(|known| is_it(known.name) || known.aliases.iter().any(|name| is_it(name)))
}

#[cfg(test)]
mod tests {
    use super::super::Image;
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn the_table_is_well_formed() {
        assert_eq!(templates().count(), 4);
        for template in templates() {
            let image = Image::parse(&template.repository).unwrap();
            let connect = image.tag().and_then(|tag| tag.connect()).unwrap();
            assert_eq!(connect.to_string(), "0.12", "{image}");
            assert_eq!(port(&template.tool), template.port);
            assert_eq!(path_routing(&template.tool), template.path_routing);
        }
    }

    #[test]
    fn tools_by_all_of_their_names() {
        for (one, other, same) in [
            ("rstudio", "ride", true),
            ("R-IDE", "Ride", true),
            ("xpra", "Xpra", true),
            ("marimo", "Marimo", true),
            ("xpra", "jupyter", false),
            ("xpra", "marimo", false),
            ("jupyter", "jupyter-2", false),
        ] {
            assert_eq!(is_same(&name(one), &name(other)), same, "{one} {other}");
        }
        assert_eq!(ToolKind::of(&name("R-IDE")), ToolKind::Rstudio);
        assert_eq!(ToolKind::of(&name("marimo")), ToolKind::Other);
        assert_eq!(port(&name("R-IDE")), 8787);
        assert_eq!(port(&name("marimo")), 8080);
    }
}
