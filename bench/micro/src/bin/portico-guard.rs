//! `portico-guard`: counts the instructions of the hot path's steps under callgrind and compares
//! them with those on record. Counts hardly depend on the machine or on what else runs on it, so
//! they tell what a change costs where a time would not.
//!
//!   portico-guard                 fails where a step has grown by more than 3 %
//!   portico-guard --accept NOTE   writes what it counted on record, with the reason
//!   portico-guard --step N COUNT  runs a step so many times: what is counted

use std::process::{Command, ExitCode};

use portico_micro::steps::GUARDED;

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");
/// More than this is worth a reason.
const GROWTH_MAX: f64 = 0.03;
/// Two runs, so that what comes before the first step goes out of the account.
const COUNTS: [u64; 2] = [1_000, 3_000];

/// What is on record of a step.
struct Entry {
    name: String,
    instructions: u64,
    note: String,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--step", index, count] => {
            run(index.parse().expect("a number"), count.parse().expect("a count"));
            ExitCode::SUCCESS
        }
        [] => compare(None),
        ["--accept", note] if !note.trim().is_empty() => compare(Some(note)),
        _ => {
            eprintln!("usage: portico-guard [--accept NOTE]");
            ExitCode::from(64)
        }
    }
}

fn run(index: usize, count: u64) {
    let mut run = (GUARDED[index].prepare)();
    (0..count).for_each(|_| run());
}

fn compare(note: Option<&str>) -> ExitCode {
    let record = record();
    let mut entries = Vec::new();
    let mut grown = false;
    for (index, step) in GUARDED.iter().enumerate() {
        let instructions = match counted(index) {
            Ok(instructions) => instructions,
            Err(reason) => {
                eprintln!("{reason}");
                return ExitCode::from(69);
            }
        };
        let before = record.iter().find(|entry| entry.name == step.name);
        let growth = before.map(|entry| instructions as f64 / entry.instructions as f64 - 1.0);
        let verdict = match growth {
            None => "new".to_owned(),
            Some(growth) => format!("{:+.1} %", growth * 100.0),
        };
        println!("{:<36} {instructions:>8}  {verdict}", step.name);
        let is_grown = growth.is_none_or(|growth| growth > GROWTH_MAX);
        grown |= is_grown;
        let kept = before.filter(|_| !is_grown && growth.is_some_and(|g| g > -GROWTH_MAX));
        entries.push(Entry {
            name: step.name.to_owned(),
            instructions: kept.map_or(instructions, |entry| entry.instructions),
            note: kept.map_or(note.unwrap_or_default(), |entry| &entry.note).to_owned(),
        });
    }
    match note {
        Some(_) => write(&entries),
        None if grown => {
            eprintln!(
                "A step has grown by more than {:.0} %. Make it cheaper, or put the reason on \
                 record: make bench-guard ACCEPT='why'",
                GROWTH_MAX * 100.0
            );
            return ExitCode::FAILURE;
        }
        None => {}
    }
    ExitCode::SUCCESS
}

/// Instructions of one run of a step.
fn counted(index: usize) -> Result<u64, String> {
    let [few, many] = COUNTS;
    let (few_took, many_took) = (collected(index, few)?, collected(index, many)?);
    Ok(many_took.saturating_sub(few_took) / (many - few))
}

fn collected(index: usize, count: u64) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--step", &index.to_string(), &count.to_string()])
        .output()
        .map_err(|error| format!("valgrind cannot be run ({error}): apt-get install valgrind"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    collected
        .and_then(|(_, number)| number.trim().parse().ok())
        .ok_or_else(|| format!("valgrind counted nothing; it said:\n{said}"))
}

/// A line is `instructions<TAB>name<TAB>note`; one that begins with `#` is for readers.
fn record() -> Vec<Entry> {
    let text = std::fs::read_to_string(RECORD).unwrap_or_default();
    let entry = |line: &str| {
        let mut parts = line.splitn(3, '\t');
        Some(Entry {
            instructions: parts.next()?.parse().ok()?,
            name: parts.next()?.to_owned(),
            note: parts.next().unwrap_or_default().to_owned(),
        })
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(entry).collect()
}

fn write(entries: &[Entry]) {
    let head =
        "# Instructions of the hot path's steps, by callgrind: `make bench-guard` compares.\n";
    let line = |entry: &Entry| format!("{}\t{}\t{}\n", entry.instructions, entry.name, entry.note);
    let text: String = entries.iter().map(line).collect();
    std::fs::write(RECORD, format!("{head}{text}")).expect("the record can be written");
}
