//! Who may have routes, which templates there are, and whose names are no settings.

use portico_core::template::{Catalogue, Status};
use portico_core::workspace::AllowList;

use super::*;

const TEMPLATES: &str = "TOWER_DATA_STUDIO_TEMPLATES_";
const NOTHING: &str = "PORTICO_LOG__LEVEL=info";

#[test]
fn an_allow_list_is_obeyed_wherever_it_comes_from() {
    let only = |words: &[&str]| AllowList::of_words(words.iter().copied()).unwrap();
    for (file, environment, expected) in [
        ("", NOTHING, AllowList::All),
        ("", "TOWER_DATA_STUDIO_ALLOWED_WORKSPACES=12345, 67890", only(&["12345", "67890"])),
        ("", "TOWER_DATA_STUDIO_ALLOWED_WORKSPACES=", only(&[])),
        ("", "PORTICO_ALLOWED_WORKSPACES=", only(&[])),
        ("allowed_workspaces = []", NOTHING, only(&[])),
        ("allowed_workspaces = [12345, \"a\"]", NOTHING, only(&["12345", "a"])),
        ("allowed_workspaces = [\"b\"]", "TOWER_DATA_STUDIO_ALLOWED_WORKSPACES=", only(&["b"])),
    ] {
        let (settings, notes) = settings(file, &[HERE, environment], &[]);
        assert_eq!(settings.allowed_workspaces, expected, "{file} {environment}");
        let warned = notes.iter().any(|note| matches!(note, Note::Warning(_)));
        assert_eq!(warned, expected == only(&[]), "{notes:?}");
    }
    let found = mistakes("allowed_workspaces = [\"fine\", \"a b\"]", &[HERE], &[]);
    assert!(found.len() == 1 && found[0].contains("`a b` has a character"), "{found:?}");
    let many: Vec<_> = (0..=10_000).map(|number| number.to_string()).collect();
    let found = mistakes("", &[HERE], &[("allowed_workspaces", &many.join(","))]);
    assert!(found.len() == 1 && found[0].contains("more than 10000"), "{found:?}");
}

#[test]
fn todays_templates_change_the_catalogue() {
    assert_eq!(settings("", &[HERE], &[]).0.catalogue, Catalogue::builtin());
    let environment = [
        HERE.to_owned(),
        format!("{TEMPLATES}vscode_STATUS=deprecated"),
        format!("{TEMPLATES}mine_TOOL=marimo"),
        format!("{TEMPLATES}mine_REPOSITORY=quay.io/me/mine:1-0.9"),
    ];
    let environment: Vec<_> = environment.iter().map(String::as_str).collect();
    let (settings, notes) = settings("", &environment, &[]);
    let find = |key: &str| settings.catalogue.find(&key.parse().unwrap()).cloned().unwrap();
    assert_eq!(find("vscode").status, Status::Deprecated);
    assert_eq!(find("mine").tool.as_str(), "marimo");
    assert!(format!("{notes:?}").contains("changed by 3 names"), "{notes:?}");
}

#[test]
fn mistakes_of_templates_are_told_by_their_names_with_all_others() {
    let environment = [
        HERE.to_owned(),
        format!("{TEMPLATES}jupyter_PORT=0"),
        format!("{TEMPLATES}my_tool_TOOL=x"),
        format!("{TEMPLATES}new_TOOL=x"),
        "PORTICO_PROXY__WORKERS=many".to_owned(),
    ];
    let environment: Vec<_> = environment.iter().map(String::as_str).collect();
    let found = mistakes("", &environment, &[]);
    for (name, fix) in [
        (format!("{TEMPLATES}jupyter_PORT: "), "fix: correct it"),
        (format!("{TEMPLATES}my_tool_TOOL: "), "fix: correct it"),
        (format!("{TEMPLATES}new_REPOSITORY: "), "fix: set it"),
        ("proxy.workers (".to_owned(), "fix: write a number"),
    ] {
        let told = found.iter().any(|m| m.starts_with(&name) && m.contains(fix));
        assert!(told, "{name} is not in {found:#?}");
    }
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[test]
fn what_the_client_reads_is_no_setting_and_no_mistake() {
    let names =
        ["PORTICO_API=http://x", "PORTICO_TOKEN=x", "PORTICO_TOKEN_FILE=/x", "PORTICO_CONFIG=/x"];
    for name in names {
        assert_eq!(settings("", &[HERE, name], &[]).1, [], "{name}");
    }
    let slip = mistakes("", &[HERE, "PORTICO_TOKENS=x"], &[]);
    assert!(slip.len() == 1 && slip[0].contains("is not a setting"), "{slip:?}");
}
