//! The two files that a comparison leaves: `RESULTS.md` to read and `results.json` to compute with.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use super::machine::Facts;
use super::summary::{Row, Spread};
use super::{Options, Sample};

pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| case | proxy | CPU µs per request (min–max) | ratio to the better opponent | \
         requests/s | core used | p50 µs | p99 µs | errors |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let cpu = row.cpu_microseconds;
        let ratio = row.ratio.map_or("–".to_owned(), |ratio| format!("**{ratio:.2}**"));
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} ({:.1}–{:.1}) | {ratio} | {:.0} | {:.0} % | {} | {} | {} |",
            row.case.title(),
            row.kind.name(),
            cpu.median,
            cpu.lowest,
            cpu.highest,
            row.per_second.median,
            row.core_share * 100.0,
            row.p50.as_micros(),
            row.p99.as_micros(),
            row.errors,
        );
    }
    text
}

pub fn write(
    directory: &Path,
    options: &Options,
    facts: &Facts,
    rows: &[Row],
    samples: &[Sample],
) -> anyhow::Result<()> {
    fs::create_dir_all(directory)?;
    for (name, text) in [
        ("RESULTS.md", document(options, facts, rows, samples)),
        ("results.json", format!("{:#}\n", record(options, facts, rows, samples))),
    ] {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Puts a report of another run behind the comparison, in place of an older one with its heading.
pub fn replace_section(directory: &Path, heading: &str, report: &str) -> anyhow::Result<()> {
    let path = directory.join("RESULTS.md");
    let mut text = fs::read_to_string(&path).unwrap_or_default();
    let heading = format!("\n# {heading}\n");
    if let Some(at) = text.find(&heading) {
        let end = text[at + 1..].find("\n# ").map_or(text.len(), |next| at + 1 + next);
        text.replace_range(at..end, "");
    }
    let _ = write!(text, "{heading}\n{report}");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn document(options: &Options, facts: &Facts, rows: &[Row], samples: &[Sample]) -> String {
    let mut text = String::from(
        "# CPU per request, side by side\n\nWritten by `make bench`; do not edit. Below 1 in the \
         ratio column, Portico is cheaper than the\nbetter of the opponents.\n\n",
    );
    text.push_str(&table(rows));
    let disturbed = samples.iter().map(|sample| sample.foreign_cores).fold(0.0, f64::max);
    let cores = (options.lab.proxy_core, options.lab.load_core);
    let mut facts_told = vec![
        ("date", facts.date.clone()),
        ("commit", facts.commit.clone()),
        ("command", format!("`{}`", options.command)),
        ("kernel", format!("Linux {}", facts.kernel)),
        ("processor", format!("{}, {} cores", facts.processor, facts.cores)),
        ("cores used", format!("proxy {}, load and upstream {}", cores.0, cores.1)),
        ("repetitions", options.repetitions.to_string()),
        ("each", format!("{:?} after {:?} of warm-up", options.measure, options.warm_up)),
        ("other programs", format!("at most {:.0} % of a core in a sample", disturbed * 100.0)),
    ];
    facts_told.extend(facts.versions.iter().cloned());
    text.push_str("\n| fact | of this run |\n| --- | --- |\n");
    for (name, value) in facts_told {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    text.push('\n');
    text.push_str(include_str!("method.md"));
    text
}

fn record(options: &Options, facts: &Facts, rows: &[Row], samples: &[Sample]) -> Value {
    let versions: serde_json::Map<_, _> =
        facts.versions.iter().map(|(name, version)| ((*name).into(), json!(version))).collect();
    let rows: Vec<Value> = rows.iter().map(row_record).collect();
    let samples: Vec<Value> = samples.iter().map(sample_record).collect();
    json!({
        "date": facts.date,
        "commit": facts.commit,
        "command": options.command,
        "kernel": facts.kernel,
        "processor": facts.processor,
        "cores": facts.cores,
        "versions": versions,
        "repetitions": options.repetitions,
        "warm_up_seconds": options.warm_up.as_secs_f64(),
        "measure_seconds": options.measure.as_secs_f64(),
        "rows": rows,
        "samples": samples,
    })
}

fn row_record(row: &Row) -> Value {
    json!({
        "case": row.case.name(),
        "proxy": row.kind.name(),
        "cpu_microseconds_per_request": spread_record(row.cpu_microseconds),
        "requests_per_second": spread_record(row.per_second),
        "core_share": row.core_share,
        "p50_microseconds": row.p50.as_secs_f64() * 1e6,
        "p99_microseconds": row.p99.as_secs_f64() * 1e6,
        "errors": row.errors,
        "ratio_to_better_opponent": row.ratio,
    })
}

fn spread_record(spread: Spread) -> Value {
    json!({ "median": spread.median, "min": spread.lowest, "max": spread.highest })
}

fn sample_record(sample: &Sample) -> Value {
    json!({
        "case": sample.case.name(),
        "proxy": sample.kind.name(),
        "repetition": sample.repetition + 1,
        "requests": sample.requests,
        "errors": sample.errors,
        "first_error": sample.first_error,
        "cpu_microseconds_per_request": sample.cpu_microseconds_per_request,
        "core_share": sample.core_share,
        "foreign_cores": sample.foreign_cores,
        "requests_per_second": sample.requests_per_second,
        "p50_microseconds": sample.p50.as_secs_f64() * 1e6,
        "p99_microseconds": sample.p99.as_secs_f64() * 1e6,
    })
}
