//! What a run is asked for, and what came of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::case::Case;
use super::kind::Kind;
use super::lab::{Lab, LabOptions};
use super::measure::{Sample, Timing};

pub struct Options {
    pub lab: LabOptions,
    pub cases: Vec<Case>,
    pub repetitions: usize,
    pub timing: Timing,
    /// Where `RESULTS.md`, `results.json` and `plots/` go; nothing is written without it.
    pub output: Option<PathBuf>,
    /// As the user typed it, for the results.
    pub command: String,
}

/// What came of a run.
#[derive(Default)]
pub struct Findings {
    pub samples: Vec<Sample>,
    pub gaps: Vec<Gap>,
    /// Cases that could not be run.
    pub failures: Vec<String>,
    /// What each program says of its version.
    pub versions: BTreeMap<Kind, String>,
    pub took: Duration,
}

/// A case that a proxy has no figure for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub kind: Kind,
    pub case: Case,
    pub why: String,
}

impl Findings {
    pub fn keep(&mut self, sample: Sample) {
        sample.announce();
        self.samples.push(sample);
    }

    pub fn gap(&mut self, kind: Kind, case: Case, why: String) {
        println!("{:<13} {:<14} left out: {why}", case.name(), kind.name());
        self.samples.retain(|sample| (sample.kind, sample.case) != (kind, case));
        if kind.is_ours() {
            self.failures.push(format!("{} on {}: {why}", case.name(), kind.name()));
        }
        self.gaps.push(Gap { kind, case, why });
    }

    pub fn note_versions(&mut self, lab: &Lab) {
        for subject in &lab.subjects {
            self.versions.entry(subject.kind).or_insert_with(|| subject.version.clone());
        }
    }
}
