//! The catalogue: all templates that there are, and whether a session may be created with what it
//! asks for. A value, changed by making another one; who changes it, and where it is kept, is not
//! known here.

use super::{ConnectVersion, Image, PathRouting, Template, tool};
use crate::session::{Name, Routing};

/// Templates with keys that differ, in the order in which they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    templates: Vec<Template>,
}

/// Why a session may not be created as asked, and what to ask for instead. The client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateRefusal {
    #[error("`{tool}` cannot have routing \"path\": {reason}; use routing [\"subdomain\"]")]
    PathUnsupported { tool: Name, reason: String },
    #[error(
        "the image `{image}` has connect client {found}, but `{tool}` needs {needed} or later for \
         routing \"path\"; use a newer image, or routing [\"subdomain\"]"
    )]
    ClientTooOld { tool: Name, image: String, found: ConnectVersion, needed: ConnectVersion },
}

/// How much a template's image is the one in question, the most first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    SameTag,
    SameRepository,
    Other,
}

impl Catalogue {
    pub fn builtin() -> Self {
        Self { templates: tool::templates().collect() }
    }

    /// A catalogue with this template in the place of the one with its key, or at the end.
    pub fn with(&self, template: Template) -> Self {
        let mut next = self.clone();
        match next.templates.iter_mut().find(|old| old.key == template.key) {
            Some(old) => *old = template,
            None => next.templates.push(template),
        }
        next
    }

    pub fn without(&self, key: &Name) -> Self {
        let others = self.templates.iter().filter(|template| template.key != *key);
        Self { templates: others.cloned().collect() }
    }

    pub fn templates(&self) -> &[Template] {
        &self.templates
    }

    pub fn find(&self, key: &Name) -> Option<&Template> {
        self.templates.iter().find(|template| template.key == *key)
    }

    /// Of several, the one with the best status; of these, the first.
    pub fn find_by_tool(&self, tool: &Name) -> Option<&Template> {
        self.find_nearest(tool, None)
    }

    /// By repository, whatever the tag; of several, the one with the tag, or else the best status.
    pub fn find_by_image(&self, image: &Image) -> Option<&Template> {
        let alike = self.templates.iter().map(|template| (likeness(template, image), template));
        alike
            .filter(|(likeness, _)| *likeness != Likeness::Other)
            .min_by(|(a, one), (b, other)| a.cmp(b).then(one.status.cmp(&other.status)))
            .map(|(_, template)| template)
    }

    /// Whether a session of the tool, from the image if that is known, may have the routing. What
    /// is not known (a custom tool, an image without a connect version in its tag) is not refused:
    /// whoever made it knows better.
    pub fn check(
        &self,
        tool: &Name,
        image: Option<&Image>,
        routing: Routing,
    ) -> Result<(), TemplateRefusal> {
        if !routing.has_path() {
            return Ok(());
        }
        let Some(template) = self.find_nearest(tool, image) else { return Ok(()) };
        let needed = match &template.path_routing {
            PathRouting::Unsupported { reason } => {
                let (tool, reason) = (tool.clone(), reason.clone());
                return Err(TemplateRefusal::PathUnsupported { tool, reason });
            }
            PathRouting::Supported { client_version_min } => *client_version_min,
        };
        let found = |image: &Image| image.tag().and_then(|tag| tag.connect());
        match (needed, image.map(|image| (image, found(image)))) {
            (Some(needed), Some((image, Some(found)))) if found.is_below(needed) => {
                let (tool, image) = (tool.clone(), image.to_string());
                Err(TemplateRefusal::ClientTooOld { tool, image, found, needed })
            }
            _ => Ok(()),
        }
    }

    fn find_nearest(&self, tool: &Name, image: Option<&Image>) -> Option<&Template> {
        let of_tool = self.templates.iter().filter(|template| tool::is_same(&template.tool, tool));
        of_tool.min_by_key(|template| {
            (image.map_or(Likeness::Other, |image| likeness(template, image)), template.status)
        })
    }
}

fn likeness(template: &Template, image: &Image) -> Likeness {
    match Image::parse(&template.repository) {
        Ok(own) if own.repository() != image.repository() => Likeness::Other,
        Ok(own) if own.tag() == image.tag() => Likeness::SameTag,
        Ok(_) => Likeness::SameRepository,
        // Whoever made the template did not check it: it is the image of nothing.
        Err(_) => Likeness::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    const JUPYTER: &str = "public.cr.seqera.io/platform/data-studio-jupyter";

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn image(text: &str) -> Image {
        Image::parse(text).unwrap()
    }

    fn jupyter(key: &str, status: Status, tag: &str) -> Template {
        let builtin = Catalogue::builtin().find(&name("jupyter")).unwrap().clone();
        Template { key: name(key), status, repository: format!("{JUPYTER}:{tag}"), ..builtin }
    }

    fn keys(catalogue: &Catalogue) -> Vec<&str> {
        catalogue.templates().iter().map(|template| template.key.as_str()).collect()
    }

    fn refusal(tool: &str, image: Option<&str>, routing: Routing) -> Option<String> {
        let image = image.map(|text| Image::parse(text).unwrap());
        let checked = Catalogue::builtin().check(&name(tool), image.as_ref(), routing);
        checked.err().map(|refusal| refusal.to_string())
    }

    #[test]
    fn the_built_in_tools() {
        let builtin = Catalogue::builtin();
        for (tool, port) in [
            ("jupyter", 8080),
            ("rstudio", 8787),
            ("R-IDE", 8787),
            ("vscode", 3000),
            ("xpra", 14500),
        ] {
            assert_eq!(builtin.find_by_tool(&name(tool)).unwrap().port, port, "{tool}");
        }
        assert_eq!(builtin.find_by_tool(&name("marimo")), None);
    }

    #[test]
    fn a_template_is_added_replaced_and_removed_in_its_place() {
        let builtin = Catalogue::builtin();
        let more = builtin.with(jupyter("old", Status::Deprecated, "4.1.5-0.7.4"));
        assert_eq!(keys(&more), ["jupyter", "rstudio", "vscode", "xpra", "old"]);
        let other = more.with(jupyter("jupyter", Status::Experimental, "4.6.0-0.12"));
        assert_eq!(keys(&other), keys(&more));
        assert_eq!(other.templates()[0].status, Status::Experimental);
        assert_eq!(keys(&other.without(&name("vscode"))), ["jupyter", "rstudio", "xpra", "old"]);
        assert_eq!(other.without(&name("none")), other);
        assert_eq!(keys(&builtin).len(), 4);
    }

    #[test]
    fn of_several_templates_the_nearest_is_found() {
        let catalogue = Catalogue::builtin()
            .without(&name("jupyter"))
            .with(jupyter("old", Status::Deprecated, "4.1.5-0.7.4"))
            .with(jupyter("new", Status::Recommended, "4.6.0-0.12"))
            .with(jupyter("newer", Status::Recommended, "4.6.0-0.13"));
        let by_tool = catalogue.find_by_tool(&name("Jupyter")).unwrap();
        assert_eq!(by_tool.key.as_str(), "new");
        for (text, key) in [
            (format!("{JUPYTER}:4.1.5-0.7.4"), Some("old")),
            (format!("{JUPYTER}:4.6.0-0.13"), Some("newer")),
            (format!("{JUPYTER}:9-9.9"), Some("new")),
            (JUPYTER.to_owned(), Some("new")),
            ("mirror.example.com/data-studio-jupyter:4.6.0-0.12".to_owned(), None),
        ] {
            let found = catalogue.find_by_image(&image(&text));
            assert_eq!(found.map(|template| template.key.as_str()), key, "{text}");
        }
    }

    #[test]
    fn what_may_have_which_routing() {
        use Routing::{Both, Path, Subdomain};
        let allowed = [
            ("xpra", None, Subdomain),
            ("jupyter", None, Path),
            ("jupyter", Some("quay.io/me/jupyter:4.2.5-0.8.4"), Both),
            ("jupyter", Some("quay.io/me/jupyter:4.2.5-0.8"), Path),
            ("jupyter", Some("quay.io/me/jupyter:latest"), Path),
            ("jupyter", Some("quay.io/me/jupyter"), Path),
            ("jupyter", Some("quay.io/me/jupyter:4.2.5-0.7.4"), Subdomain),
            ("ride", Some("quay.io/me/ride:2025.04.1-0.8.5"), Path),
            ("marimo", Some("quay.io/me/marimo:1-0.1"), Both),
        ];
        for (tool, image, routing) in allowed {
            assert_eq!(refusal(tool, image, routing), None, "{tool} {image:?} {routing:?}");
        }
        let refused = [
            ("xpra", None, Path),
            ("xpra", None, Both),
            ("XPRA", Some("quay.io/me/xpra:latest"), Path),
            ("jupyter", Some("quay.io/me/jupyter:4.2.5-0.8.3"), Path),
            ("jupyter", Some("quay.io/me/jupyter:4.2.5-0.7"), Both),
            ("vscode", Some("quay.io/me/vscode:1.83.0-0.8.0"), Path),
            ("r-ide", Some("quay.io/me/ride:2025.04.1-0.8.4"), Path),
        ];
        for (tool, image, routing) in refused {
            let text = refusal(tool, image, routing).unwrap_or_else(|| panic!("{tool} {image:?}"));
            assert!(text.contains(tool) && text.ends_with("routing [\"subdomain\"]"), "{text}");
        }
    }

    #[test]
    fn a_refusal_says_why_and_what_to_do() {
        assert_eq!(
            refusal("xpra", None, Routing::Path).unwrap(),
            "`xpra` cannot have routing \"path\": its image has no setting for a path in front of \
             it; use routing [\"subdomain\"]"
        );
        let old = Some("quay.io/me/ride:2025.04.1-0.8.4");
        assert_eq!(
            refusal("rstudio", old, Routing::Both).unwrap(),
            "the image `quay.io/me/ride:2025.04.1-0.8.4` has connect client 0.8.4, but `rstudio` \
             needs 0.8.5 or later for routing \"path\"; use a newer image, or routing \
             [\"subdomain\"]"
        );
    }

    #[test]
    fn the_template_of_the_image_decides() {
        let reason = "it was built without it".to_owned();
        let plain = Template {
            path_routing: PathRouting::Unsupported { reason },
            ..jupyter("plain", Status::Experimental, "4.2.5-plain")
        };
        let catalogue = Catalogue::builtin().with(plain);
        let check = |tag: &str| {
            let image = image(&format!("{JUPYTER}:{tag}"));
            catalogue.check(&name("jupyter"), Some(&image), Routing::Path)
        };
        assert!(matches!(check("4.2.5-plain"), Err(TemplateRefusal::PathUnsupported { .. })));
        assert_eq!(check("4.2.5-0.12"), Ok(()));
        assert_eq!(check("4.6.0-0.13"), Ok(()));
    }
}
