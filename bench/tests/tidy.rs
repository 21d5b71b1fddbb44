//! The style guide as a test. It reads text only: what rustfmt and clippy can check is left to
//! them. Each finding names its place and what to do instead.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LINE_CHARACTERS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// Files that may be longer, each with the reason beside it.
const LONG_FILES: &[&str] = &[];

/// Where `unsafe` may stand; each block says why it is sound.
const UNSAFE_PLACES: &[&str] = &[
    "proxy/src/io.rs",
    "proxy/src/io/",
    // The load tool must cost less than what it measures, so it talks to the kernel itself.
    "bench/src/load/kernel.rs",
    // A kernel program has no safe way to the kernel's structures; the verifier checks it.
    "ebpf/program/src/kernel.rs",
];

/// What no product code calls, what to use instead, and the folders that may.
const BANNED: &[(&str, &str, &[&str])] = &[
    (".unwrap()", "`?`, or expect(\"why it cannot fail\")", &[]),
    ("dbg!(", "tracing::debug!, or nothing", &[]),
    ("todo!(", "the code itself", &[]),
    ("unimplemented!(", "the code itself, or a type that makes it impossible", &[]),
    // The access log's end polls a thread that may be stuck, and there is no join with a deadline.
    ("thread::sleep(", "a deadline that is awaited", &["bench/", "proxy/src/access_log.rs"]),
    ("unbounded_channel", "a bounded channel: every queue has a bound", &[]),
    ("mpsc::channel()", "mpsc::sync_channel(bound): every queue has a bound", &["bench/"]),
    ("process::exit(", "a returned ExitCode, so that everything is dropped", &[]),
    ("anyhow", "a thiserror enum of the module that fails", &["src/", "bench/"]),
    ("println!(", "tracing, or writing to a given stream", &["src/", "bench/"]),
    ("Instant::now(", "`now` as a parameter", &["src/", "bench/", "proxy/", "control/"]),
    ("SystemTime::now(", "`now` as a parameter", &["src/", "bench/", "proxy/", "control/"]),
    ("std::env::", "a value that the caller gives", &["src/", "bench/"]),
    ("std::fs", "bytes that the caller gives", &["src/", "bench/", "proxy/", "control/"]),
    ("extern crate", "use", &[]),
    ("lazy_static!", "std::sync::LazyLock", &[]),
];

/// Words that say nothing, as parts of the names of types and modules.
const EMPTY_WORDS: &[&str] = &["Manager", "Helper", "Util", "Utils", "Common", "Base"];

/// A source file, its path from the root of the repository.
struct Source {
    path: String,
    text: String,
}

/// One line of code: its number, what stands before a comment, and whether it is a test's.
struct Line<'a> {
    number: usize,
    code: &'a str,
    is_test: bool,
}

#[test]
fn lines_files_and_functions_are_short() {
    report(|source, findings| {
        for (index, line) in source.text.lines().enumerate() {
            let length = line.chars().count();
            if length > LINE_CHARACTERS_MAX {
                findings.push(format!("{}:{}: {length} characters", source.path, index + 1));
            }
        }
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX && !LONG_FILES.contains(&source.path.as_str()) {
            findings.push(format!("{}: {lines} lines; look for the second idea", source.path));
        }
        findings.extend(long_functions(source));
    });
}

#[test]
fn calls_that_have_a_better_replacement() {
    report(|source, findings| {
        for line in lines(source).iter().filter(|line| !line.is_test) {
            for (banned, instead, places) in BANNED {
                let allowed = places.iter().any(|place| source.path.starts_with(place));
                if line.code.contains(banned) && !allowed {
                    let place = format!("{}:{}", source.path, line.number);
                    findings.push(format!("{place}: `{banned}`; use {instead}"));
                }
            }
        }
    });
}

#[test]
fn unsafe_stays_in_its_places_and_says_why_it_is_sound() {
    const FORMS: [&str; 5] =
        ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern"];
    report(|source, findings| {
        let allowed = UNSAFE_PLACES.iter().any(|place| source.path.starts_with(place));
        let all: Vec<&str> = source.text.lines().collect();
        for line in lines(source) {
            if !FORMS.iter().any(|form| line.code.contains(form)) || source.is_tidy() {
                continue;
            }
            let place = format!("{}:{}", source.path, line.number);
            if !allowed {
                findings.push(format!("{place}: unsafe outside of {UNSAFE_PLACES:?}"));
                continue;
            }
            // Above it, or above the statement that it is a part of.
            let above = &all[line.number.saturating_sub(9)..line.number];
            let sound = above.iter().any(|l| l.contains("SAFETY:") || l.contains("# Safety"));
            if !sound {
                findings.push(format!("{place}: unsafe without a `SAFETY:` comment"));
            }
        }
    });
}

#[test]
fn every_file_says_what_it_is_for() {
    report(|source, findings| {
        if !source.text.starts_with("//! ") {
            findings.push(format!("{}: does not open with a `//!` paragraph", source.path));
        }
        if source.path.ends_with("/mod.rs") {
            let path = source.path.trim_end_matches("/mod.rs");
            findings.push(format!("{}: should be {path}.rs", source.path));
        }
    });
}

#[test]
fn nothing_is_left_for_later() {
    let words =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
    report(|source, findings| {
        for (index, line) in source.text.lines().enumerate() {
            for word in words {
                let found = line.split(|c: char| !c.is_alphanumeric()).any(|part| part == word);
                if found {
                    let place = format!("{}:{}", source.path, index + 1);
                    findings.push(format!("{place}: {word}; do it, or open an issue"));
                }
            }
        }
    });
}

#[test]
fn names_say_something() {
    report(|source, findings| {
        for line in lines(source) {
            let words: Vec<&str> = line.code.split_whitespace().collect();
            for pair in words.windows(2) {
                let name: String = identifier(pair[1]);
                let place = format!("{}:{}", source.path, line.number);
                match pair[0] {
                    "struct" | "enum" | "trait" | "type" | "mod"
                        if EMPTY_WORDS.iter().any(|word| ends_with_word(&name, word)) =>
                    {
                        findings.push(format!("{place}: `{name}` says nothing; name what it does"));
                    }
                    "fn" if name.starts_with("get_") => {
                        let better = name.trim_start_matches("get_");
                        findings.push(format!("{place}: `{name}`; call it `{better}`"));
                    }
                    _ => {}
                }
            }
        }
    });
}

#[test]
fn nothing_belongs_to_one_machine() {
    let places = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/home/", "u")];
    report(|source, findings| {
        for (index, line) in source.text.lines().enumerate() {
            if places.iter().any(|place| line.contains(place)) {
                findings.push(format!("{}:{}: a path of one machine", source.path, index + 1));
            }
        }
    });
}

#[test]
fn every_file_is_a_module_of_something() {
    let sources = sources();
    let known: BTreeSet<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<String> =
        known.iter().filter(|path| is_crate_root(path)).map(|path| (*path).to_owned()).collect();
    while let Some(path) = waiting.pop() {
        let Some(source) = sources.iter().find(|source| source.path == path) else { continue };
        if reached.insert(path.clone()) {
            waiting.extend(children(source));
        }
    }
    let dead: Vec<_> = known.iter().filter(|path| !reached.contains(**path)).collect();
    assert!(dead.is_empty(), "no `mod` leads to {dead:#?}");
}

impl Source {
    /// This file names what it forbids.
    fn is_tidy(&self) -> bool {
        self.path == "bench/tests/tidy.rs"
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }
}

/// Runs a check over every source and fails with all findings at once.
#[track_caller]
fn report(check: impl Fn(&Source, &mut Vec<String>)) {
    let mut findings = Vec::new();
    sources().iter().for_each(|source| check(source, &mut findings));
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(&root(), "", &mut sources);
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

fn collect(directory: &Path, prefix: &str, sources: &mut Vec<Source>) {
    let entries = fs::read_dir(directory).expect("a folder of the repository can be read");
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            if !name.starts_with('.') && name != "target" {
                collect(&entry.path(), &format!("{path}/"), sources);
            }
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).expect("a source file is UTF-8");
            sources.push(Source { path, text });
        }
    }
}

/// Tests come last in a file, so everything from `#[cfg(test)]` and a block on is a test.
fn lines(source: &Source) -> Vec<Line<'_>> {
    let mut is_test = source.is_test();
    let mut after_attribute = false;
    let mut all = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        is_test |= after_attribute && line.ends_with('{');
        after_attribute = line == "#[cfg(test)]";
        let code = match line.find("//") {
            // `https://` is no comment.
            Some(at) if !line[..at].ends_with(':') => &line[..at],
            _ => line,
        };
        all.push(Line { number: index + 1, code, is_test });
    }
    all
}

/// By rustfmt's indentation: a function ends at the `}` below its `fn`.
fn long_functions(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    let all: Vec<&str> = source.text.lines().collect();
    for line in lines(source).iter().filter(|line| !line.is_test) {
        let Some(rest) = line.code.trim_start().split_once("fn ").map(|(_, rest)| rest) else {
            continue;
        };
        let before = line.code.split("fn ").next().unwrap_or_default();
        let words_only = before.chars().all(|c| c.is_alphanumeric() || " ()_:\"".contains(c));
        let indent = line.code.len() - line.code.trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        let length = all[line.number..].iter().position(|l| *l == end).map_or(0, |at| at + 2);
        let ends_here = line.code.ends_with(';') || line.code.ends_with('}');
        if words_only && !ends_here && length > FUNCTION_LINES_MAX {
            let name = identifier(rest);
            let place = format!("{}:{}", source.path, line.number);
            findings
                .push(format!("{place}: `{name}` has {length} lines; look for the second idea"));
        }
    }
    findings
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// `PoolManager`, `util` or `wire_utils`, but not `Database`.
fn ends_with_word(name: &str, word: &str) -> bool {
    let snake = word.to_lowercase();
    name.ends_with(word) || name == snake || name.ends_with(&format!("_{snake}"))
}

fn is_crate_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let below = |folder: &str| parts.len() >= 2 && parts[parts.len() - 2] == folder;
    matches!(parts.last(), Some(&"lib.rs" | &"main.rs" | &"build.rs"))
        || below("tests") && !path.contains("/src/")
        || below("benches")
        || below("examples")
        || below("fuzz_targets")
        || path.contains("src/bin/")
}

/// The files that the `mod` lines of a file lead to.
fn children(source: &Source) -> Vec<String> {
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let below = match file {
        "lib.rs" | "main.rs" | "build.rs" => folder.to_owned(),
        _ if is_crate_root(&source.path) => folder.to_owned(),
        _ => source.path.trim_end_matches(".rs").to_owned(),
    };
    let mut found = Vec::new();
    let mut path_attribute = None;
    for line in source.text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("#[path = \"") {
            path_attribute =
                rest.strip_suffix("\"]").map(|path| normal(&format!("{folder}/{path}")));
            continue;
        }
        let declared = line.split_once("mod ").filter(|(before, _)| {
            before.is_empty() || before.trim() == "pub" || before.starts_with("pub(")
        });
        if let Some(name) = declared.and_then(|(_, rest)| rest.strip_suffix(';')) {
            found.push(path_attribute.take().unwrap_or(format!("{below}/{name}.rs")));
        }
    }
    found
}

/// Without `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}
