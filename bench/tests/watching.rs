//! The rules, the dashboard and the pages for operators below `deploy/` against the code and each
//! other: a metric that is renamed, an alert without a section, a panel of something that is not
//! counted, or a name of today's installs that nobody is told of is found here, without a
//! Prometheus. What only Prometheus can tell is in `deploy/tests/watching.sh`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

const RULES: [&str; 2] =
    ["deploy/prometheus/rules/recording.yml", "deploy/prometheus/rules/alerts.yml"];
const DASHBOARD: &str = "deploy/grafana/dashboards/portico.json";
const RUNBOOK: &str = "deploy/RUNBOOK.md";

/// Where metrics are declared, and what their labels can say: each is a string of its own.
const DECLARATIONS: [&str; 5] = ["proxy/src", "control/src", "core/src", "ebpf/src", "src"];

/// What a histogram is asked by.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// Labels that Prometheus and its users give; the values are theirs.
const THEIR_LABELS: [&str; 6] = ["job", "instance", "cluster", "namespace", "pod", "le"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("bench is in the root").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All Rust below the places of declarations, without tests.
fn sources() -> String {
    fn walk(path: &Path, text: &mut String) {
        if path.is_dir() {
            for entry in fs::read_dir(path).expect("a folder of the repository") {
                walk(&entry.expect("an entry of it").path(), text);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let all = fs::read_to_string(path).expect("a file of the repository");
            text.push_str(all.split("#[cfg(test)]\nmod tests").next().unwrap_or_default());
        }
    }
    let mut text = String::new();
    for place in DECLARATIONS {
        walk(&root().join(place), &mut text);
    }
    text
}

/// Every string in the code, as it stands between quotes.
fn strings(sources: &str) -> BTreeSet<&str> {
    sources.lines().flat_map(|line| line.split('"').skip(1).step_by(2)).collect()
}

/// The names in an expression that begin as ours do, or are a record's.
fn names(text: &str) -> BTreeSet<&str> {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let ours = |word: &&str| {
        let begun = ["portico_", "process_"].iter().any(|prefix| word.starts_with(prefix));
        begun || word.contains(":portico_")
    };
    text.split(|c| !name(c)).filter(ours).collect()
}

/// The pairs in selectors: `reason=~"a|b"` is `reason` with `a` and with `b`.
fn selected(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for selector in text.split('{').skip(1) {
        let Some((selector, _)) = selector.split_once('}') else { continue };
        for pair in selector.split(',') {
            let Some((label, value)) = pair.split_once('=') else { continue };
            let value = value.trim_start_matches('~').trim().trim_matches(['"', '\\']);
            let label = label.trim().trim_end_matches('!');
            found.extend(value.split('|').map(|value| (label, value)));
        }
    }
    found
}

/// Every expression of the dashboard, with the title of its panel.
fn dashboard() -> Vec<(String, String)> {
    fn walk(value: &Value, title: &str, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(members) => {
                let own = members.get("title").and_then(Value::as_str);
                let title = own.unwrap_or(title);
                for key in ["expr", "query"] {
                    if let Some(Value::String(text)) = members.get(key) {
                        found.push((title.to_owned(), text.clone()));
                    }
                }
                members.values().for_each(|member| walk(member, title, found));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, title, found)),
            _ => {}
        }
    }
    let json: Value = serde_json::from_str(&read(DASHBOARD)).expect("the dashboard is JSON");
    let mut found = Vec::new();
    walk(&json, "a variable", &mut found);
    found.retain(|(_, text)| text.contains("portico"));
    found
}

/// Without comments, which may speak of anything.
fn rules() -> String {
    let text = RULES.map(read).concat();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}

/// What follows `key: ` at the beginnings of lines.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).collect()
}

#[test]
fn every_metric_that_is_asked_for_is_declared() {
    let sources = sources();
    let declared = strings(&sources);
    assert!(declared.contains("portico_requests_total"), "the declarations were not found");
    let rules = rules();
    let recorded: BTreeSet<&str> = values(&rules, "record").into_iter().collect();
    let mut texts = vec![("the rules".to_owned(), rules.clone())];
    texts.extend(dashboard());
    texts.push((RUNBOOK.to_owned(), read(RUNBOOK)));
    let mut unknown = Vec::new();
    for (place, text) in &texts {
        for name in names(text) {
            let whole = PARTS.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
            let known = match name.contains(':') {
                true => recorded.contains(name),
                false => declared.contains(name) || declared.contains(whole),
            };
            if !known {
                unknown.push(format!("{place}: {name}"));
            }
        }
    }
    assert!(unknown.is_empty(), "no such metric or record:\n{}", unknown.join("\n"));
}

/// A value that no code writes selects nothing, and an alert on it never fires.
#[test]
fn every_label_that_is_selected_by_is_one_that_the_code_writes() {
    let sources = sources();
    let declared = strings(&sources);
    let mut texts = vec![("the rules".to_owned(), rules())];
    texts.extend(dashboard());
    let mut unknown = Vec::new();
    for (place, text) in &texts {
        for (label, value) in selected(text) {
            let theirs = THEIR_LABELS.contains(&label) || value.starts_with('$');
            let pattern = value.contains(['.', '*', '+']);
            if !theirs && !declared.contains(label) {
                unknown.push(format!("{place}: the label {label}"));
            }
            // Statuses of HTTP are numbers in the code.
            if !theirs && !pattern && label != "status" && !declared.contains(value) {
                unknown.push(format!("{place}: {label}={value}"));
            }
        }
    }
    assert!(unknown.is_empty(), "nothing writes:\n{}", unknown.join("\n"));
}

#[test]
fn every_alert_has_a_section_of_the_runbook_and_a_test() {
    let (rules, runbook) = (rules(), read(RUNBOOK));
    let alerts: BTreeSet<&str> = values(&rules, "alert").into_iter().collect();
    assert!(alerts.len() > 20, "the alerts were not found");
    let sections: BTreeSet<&str> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|title| title.starts_with("Portico"))
        .collect();
    assert_eq!(alerts, sections, "alerts and sections of {RUNBOOK}");
    let mut tests = String::new();
    for entry in fs::read_dir(root().join("deploy/prometheus/tests")).expect("a folder of tests") {
        tests += &fs::read_to_string(entry.expect("an entry of it").path()).expect("a test");
    }
    let fired: BTreeSet<&str> = tests
        .split("alertname: ")
        .skip(1)
        .filter(|test| test.contains("exp_labels"))
        .filter_map(|test| test.split_whitespace().next())
        .collect();
    assert_eq!(alerts, fired, "alerts and those that a test in deploy/prometheus/tests sees fire");
}

#[test]
fn every_alert_says_how_bad_it_is_and_where_to_read() {
    let rules = rules();
    let mut faults = Vec::new();
    for alert in rules.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap_or_default();
        let severity = ["critical", "warning", "info"]
            .iter()
            .any(|severity| alert.contains(&format!("labels: {{ severity: {severity} }}")));
        let link = format!("RUNBOOK.md#{}", name.to_lowercase());
        let linked = values(alert, "runbook_url").first().is_some_and(|url| url.ends_with(&link));
        let summary = values(alert, "summary").len() == 1;
        if !(severity && linked && summary) {
            faults.push(name);
        }
    }
    assert!(faults.is_empty(), "severity, summary or runbook_url: {faults:?}");
}

#[test]
fn every_name_of_today_that_is_read_is_on_the_migration_page() {
    let (code, page) = (read("src/settings/fallback.rs"), read("deploy/MIGRATION.md"));
    let is_name = |text: &&str| {
        let of_today = ["CONNECT_", "TOWER_", "PLATFORM_", "LOCAL_"];
        of_today.iter().any(|prefix| text.starts_with(prefix))
    };
    let names: BTreeSet<&str> = strings(&code).into_iter().filter(is_name).collect();
    assert!(names.len() > 20, "the names were not found");
    let missing: Vec<_> = names.iter().filter(|name| !page.contains(&format!("`{name}"))).collect();
    assert!(missing.is_empty(), "not in deploy/MIGRATION.md: {missing:?}");
}

/// Grafana keeps panels apart by these, and a second of one hides the first.
#[test]
fn panels_have_numbers_and_places_of_their_own() {
    let json: Value = serde_json::from_str(&read(DASHBOARD)).expect("the dashboard is JSON");
    let panels = json["panels"].as_array().expect("panels");
    let mut ids = BTreeSet::new();
    let mut cells: BTreeMap<(u64, u64), &str> = BTreeMap::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}: its id is taken");
        let side = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        assert!(side("x") + side("w") <= 24, "{title}: beyond the right edge");
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                if let Some(other) = cells.insert((x, y), title) {
                    panic!("{title} lies over {other}");
                }
            }
        }
    }
}
