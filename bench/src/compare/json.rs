//! A comparison as JSON, to compute with: a line for each row and each sample, so that it stays
//! readable and a change of one is a change of one line.

use serde_json::{Map, Value, json};

use super::findings::{Findings, Gap, Options};
use super::goals::GOALS;
use super::machine::Facts;
use super::measure::{Load, Sample};
use super::summary::{LoadRow, Row, Spread};

pub fn record(options: &Options, facts: &Facts, rows: &[Row], findings: &Findings) -> Value {
    let versions: Map<_, _> =
        facts.versions.iter().map(|(name, version)| ((*name).to_owned(), json!(version))).collect();
    let gap = |gap: &Gap| {
        let Gap { kind, case, why } = gap;
        json!({ "case": case.name(), "proxy": kind.name(), "why": why })
    };
    json!({
        "date": facts.date,
        "commit": facts.commit,
        "command": options.command,
        "flags": facts.flags,
        "kernel": facts.kernel,
        "processor": facts.processor,
        "cores": facts.cores,
        "versions": versions,
        "repetitions": options.repetitions,
        "warm_up_seconds": options.timing.warm_up.as_secs_f64(),
        "measure_seconds": options.timing.measure.as_secs_f64(),
        "took_seconds": findings.took.as_secs(),
        "goals": goals(rows),
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
        "left_out": findings.gaps.iter().map(gap).collect::<Vec<_>>(),
        "samples": findings.samples.iter().map(sample).collect::<Vec<_>>(),
    })
}

/// Lists of objects one to a line, everything else as it comes.
pub fn text(record: &Value) -> String {
    let Value::Object(fields) = record else { return format!("{record}\n") };
    let field = |(name, value): (&String, &Value)| match value {
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let lines: Vec<String> = items.iter().map(|item| format!("    {item}")).collect();
            format!("  {}: [\n{}\n  ]", json!(name), lines.join(",\n"))
        }
        value => format!("  {}: {value}", json!(name)),
    };
    let fields: Vec<String> = fields.iter().map(field).collect();
    format!("{{\n{}\n}}\n", fields.join(",\n"))
}

fn goals(rows: &[Row]) -> Vec<Value> {
    let each = GOALS.iter().flat_map(|goal| {
        goal.standings(rows).into_iter().map(move |standing| {
            json!({
                "case": goal.case.name(),
                "of": format!("{:?}", goal.of),
                "at_most": goal.at_most,
                "aimed_at": goal.aimed_at,
                "proxy": standing.kind.name(),
                "figure": standing.figure,
                "met": standing.met,
                "against": standing.against.map(|(kind, _)| kind.name()),
                "against_figure": standing.against.map(|(_, figure)| figure),
            })
        })
    });
    each.collect()
}

fn row(row: &Row) -> Value {
    let load = |load: &LoadRow| {
        json!({
            "per_second": spread(load.per_second),
            "core_share": load.core_share,
            "p50_microseconds": load.p50.as_secs_f64() * 1e6,
            "p99_microseconds": load.p99.as_secs_f64() * 1e6,
            "added_p50_microseconds": load.added.map(|added| added.p50.as_secs_f64() * 1e6),
            "added_p99_microseconds": load.added.map(|added| added.p99.as_secs_f64() * 1e6),
        })
    };
    json!({
        "case": row.case.name(),
        "proxy": row.kind.name(),
        "figure": row.case.unit().figure(),
        "main": spread(row.main),
        "afterwards": row.afterwards,
        "load": row.load.as_ref().map(load),
        "errors": row.errors,
        "ratio": row.ratio,
    })
}

fn spread(spread: Spread) -> Value {
    json!({ "median": spread.median, "min": spread.lowest, "max": spread.highest })
}

fn sample(sample: &Sample) -> Value {
    let load = |load: &Load| {
        json!({
            "units": load.units,
            "per_second": load.per_second,
            "core_share": load.core_share,
            "foreign_cores": load.foreign_cores,
            "p50_microseconds": load.p50.as_secs_f64() * 1e6,
            "p99_microseconds": load.p99.as_secs_f64() * 1e6,
        })
    };
    json!({
        "case": sample.case.name(),
        "proxy": sample.kind.name(),
        "repetition": sample.repetition + 1,
        "main": sample.main,
        "afterwards": sample.afterwards,
        "load": sample.load.as_ref().map(load),
        "errors": sample.errors,
        "first_error": sample.first_error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_line_for_each_and_it_is_the_same_json() {
        let record = json!({ "name": "x", "cores": 2, "rows": [{ "a": 1 }, { "a": [2, 3] }] });
        let text = text(&record);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), record);
        assert_eq!(text.lines().count(), 8, "{text}");
        assert!(text.contains("    {\"a\":1},\n"), "{text}");
    }
}
