//! The sections of `RESULTS.md`: each run writes its own and leaves those of the others.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;

const FILE: &str = "RESULTS.md";

/// Puts a comparison before what other runs wrote, in place of an older one.
pub fn lead(directory: &Path, comparison: &str) -> anyhow::Result<()> {
    let path = directory.join(FILE);
    let older = fs::read_to_string(&path).unwrap_or_default();
    put(&path, &(comparison.to_owned() + others(&older)))
}

/// What other runs wrote behind the comparison.
fn others(document: &str) -> &str {
    document.find("\n# ").map_or("", |at| &document[at..])
}

/// Puts a report of another run behind the comparison, in place of an older one with its heading.
pub fn replace(directory: &Path, heading: &str, report: &str) -> anyhow::Result<()> {
    let path = directory.join(FILE);
    let mut text = fs::read_to_string(&path).unwrap_or_default();
    let heading = format!("\n# {heading}\n");
    if let Some(at) = text.find(&heading) {
        let end = text[at + 1..].find("\n# ").map_or(text.len(), |next| at + 1 + next);
        text.replace_range(at..end, "");
    }
    let _ = write!(text, "{heading}\n{report}");
    put(&path, &text)
}

/// Any of the files that a run leaves.
pub fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_comparison_keeps_what_other_runs_wrote() {
        let older = "# Side by side\n\n## Goals\n\ntext\n\n# Another\n\nits text\n";
        assert_eq!(others(older), "\n# Another\n\nits text\n");
        assert_eq!(others("# Side by side\n\n## Goals\n"), "");
    }

    #[test]
    fn a_section_takes_the_place_of_its_older_self() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("RESULTS.md");
        fs::write(&path, "# Side by side\n\nx\n").unwrap();
        for text in ["one\n", "two\n"] {
            replace(directory.path(), "First", text).unwrap();
            replace(directory.path(), "Second", text).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "# Side by side\n\nx\n\n# First\n\ntwo\n\n# Second\n\ntwo\n");
    }
}
