//! The files that a comparison leaves: `RESULTS.md` to read, `results.json` to compute with, and a
//! plot for each case.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::findings::{Findings, Options};
use super::machine::Facts;
use super::measure::Sample;
use super::recording::Recording;
use super::summary::Row;
use super::{goals, json, plot, tables};
use crate::section::{self, put};

pub fn write(
    directory: &Path,
    options: &Options,
    facts: &Facts,
    rows: &[Row],
    findings: &Findings,
) -> anyhow::Result<()> {
    let plots = directory.join("plots");
    fs::create_dir_all(&plots)?;
    for case in &options.cases {
        if let Some(svg) = plot::bars(*case, rows) {
            put(&plots.join(format!("{}.svg", case.name())), &svg)?;
        }
    }
    section::lead(directory, &document(options, facts, rows, findings))?;
    let record = json::record(options, facts, rows, findings);
    put(&directory.join("results.json"), &json::text(&record))?;
    println!("wrote {}", directory.display());
    Ok(())
}

fn document(options: &Options, facts: &Facts, rows: &[Row], findings: &Findings) -> String {
    let mut text = String::from(
        "# Side by side\n\nWritten by `make bench`; do not edit. The main figure is the CPU time \
         that a proxy spends on a unit\nof work. A ratio below 1 means that Portico spends less \
         than the best of the opponents.\n\n## Goals\n\n",
    );
    text.push_str(&goals::table(rows));
    text.push('\n');
    facts_table(&mut text, options, facts, findings);
    for case in &options.cases {
        let table = tables::of_case(*case, rows, &findings.gaps);
        let (title, name) = (case.title(), case.name());
        let _ = write!(text, "\n## {}\n\n{table}", capital(title));
        if plot::bars(*case, rows).is_some() {
            let _ = write!(text, "\n![{title}](plots/{name}.svg)\n");
        }
    }
    let _ = write!(text, "\n## How it is measured\n\n{}", include_str!("method.md"));
    let _ = write!(text, "\nThe recording is {}.\n", Recording::jupyterlab().summary());
    text
}

fn facts_table(text: &mut String, options: &Options, facts: &Facts, findings: &Findings) {
    let timing = options.timing;
    let disturbed = findings.samples.iter().filter_map(foreign).fold(0.0, f64::max);
    let cores = (options.lab.proxy_core, options.lab.load_core);
    let mut told = vec![
        ("date", facts.date.clone()),
        ("commit", facts.commit.clone()),
        ("command", format!("`{}`", options.command)),
        ("flags", facts.flags.clone()),
        ("kernel", format!("Linux {}", facts.kernel)),
        ("processor", format!("{}, {} cores", facts.processor, facts.cores)),
        ("cores used", format!("proxy {}, load and upstream {}", cores.0, cores.1)),
        ("repetitions", options.repetitions.to_string()),
        ("each", format!("{:?} after {:?} of warm-up", timing.measure, timing.warm_up)),
        ("all of it", format!("{} min", findings.took.as_secs().div_ceil(60))),
        ("other programs", format!("at most {:.0} % of a core in a sample", disturbed * 100.0)),
    ];
    told.extend(facts.versions.iter().map(|(name, version)| (*name, version.clone())));
    text.push_str("| fact | of this run |\n| --- | --- |\n");
    for (name, value) in told {
        let _ = writeln!(text, "| {name} | {value} |");
    }
}

fn foreign(sample: &Sample) -> Option<f64> {
    Some(sample.load?.foreign_cores)
}

fn capital(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_begins_with_a_capital() {
        assert_eq!(capital("echo of 64 B"), "Echo of 64 B");
        assert_eq!(capital("GETs"), "GETs");
    }
}
