//! What the kernel tells of this process, under the names that clients of Prometheus agree on, so
//! that dashboards and rules for any process fit. Read from /proc when somebody asks; what a
//! sandbox hides is left out. Does not know what the process does.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};

/// USER_HZ of amd64 and arm64, which times in /proc are told in (Linux,
/// `include/uapi/asm-generic/param.h`).
const TICKS_A_SECOND: f64 = 100.0;

struct Description {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    value: fn(&Reading) -> Option<f64>,
}

const DESCRIPTIONS: [Description; 7] = [
    Description {
        name: "process_cpu_seconds_total",
        help: "Time that threads of this process spent on processors, in user and system mode.",
        kind: MetricType::COUNTER,
        value: |reading| Some((reading.stat(14)? + reading.stat(15)?) / TICKS_A_SECOND),
    },
    Description {
        name: "process_resident_memory_bytes",
        help: "Memory of this process that is in RAM.",
        kind: MetricType::GAUGE,
        value: |reading| reading.status("VmRSS:").map(|kibibytes| kibibytes * 1024.0),
    },
    Description {
        name: "process_virtual_memory_bytes",
        help: "Addresses that this process has mapped, most of them with no memory behind them.",
        kind: MetricType::GAUGE,
        value: |reading| reading.status("VmSize:").map(|kibibytes| kibibytes * 1024.0),
    },
    Description {
        name: "process_open_fds",
        help: "Files and sockets that this process has open.",
        kind: MetricType::GAUGE,
        value: |reading| reading.open_files,
    },
    Description {
        name: "process_max_fds",
        help: "Files and sockets that this process may have open: the soft limit.",
        kind: MetricType::GAUGE,
        value: |reading| number_after(&reading.limits, "Max open files"),
    },
    Description {
        name: "process_threads",
        help: "Threads of this process: workers, the control plane's, the log's.",
        kind: MetricType::GAUGE,
        value: |reading| reading.status("Threads:"),
    },
    Description {
        name: "process_start_time_seconds",
        help: "When the kernel started this process, as seconds since 1970.",
        kind: MetricType::GAUGE,
        value: |reading| Some(reading.booted_at? + reading.stat(22)? / TICKS_A_SECOND),
    },
];

/// Files of proc(5); one that cannot be read is empty.
struct Reading {
    stat: String,
    status: String,
    limits: String,
    open_files: Option<f64>,
    booted_at: Option<f64>,
}

impl Reading {
    fn of(proc: &Path, booted_at: Option<f64>) -> Self {
        let own = |name| text(&proc.join("self").join(name));
        Self {
            stat: own("stat"),
            status: own("status"),
            limits: own("limits"),
            open_files: open_files(&proc.join("self/fd")),
            booted_at,
        }
    }

    /// By its number in the manual. The second is a name that may hold spaces and parentheses.
    fn stat(&self, field: usize) -> Option<f64> {
        let (_, third_and_on) = self.stat.rsplit_once(')')?;
        third_and_on.split_whitespace().nth(field.checked_sub(3)?)?.parse().ok()
    }

    fn status(&self, field: &str) -> Option<f64> {
        number_after(&self.status, field)
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The number that a line begins with behind these words.
fn number_after(text: &str, words: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(words))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn open_files(folder: &Path) -> Option<f64> {
    // Since Linux 6.2 the folder's size is how many there are: listing a hundred thousand sockets
    // would take a scrape a while.
    let count = match fs::metadata(folder).ok()?.len() {
        // One of them is the listing's own.
        0 => fs::read_dir(folder).ok()?.count().checked_sub(1)? as u64,
        count => count,
    };
    Some(count as f64)
}

pub struct ProcessMetrics {
    described: Vec<Desc>,
    /// Read once: it moves when the clock is set, and a start that moves looks like another start.
    booted_at: Option<f64>,
}

impl ProcessMetrics {
    pub fn new() -> prometheus::Result<Self> {
        let described = DESCRIPTIONS.iter().map(|description| {
            let (name, help) = (description.name.to_owned(), description.help.to_owned());
            Desc::new(name, help, Vec::new(), HashMap::new())
        });
        let booted_at = number_after(&text(Path::new("/proc/stat")), "btime");
        Ok(Self { described: described.collect::<prometheus::Result<_>>()?, booted_at })
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.described.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        families(&Reading::of(Path::new("/proc"), self.booted_at))
    }
}

fn families(reading: &Reading) -> Vec<MetricFamily> {
    let shown = |description: &Description| {
        let value = (description.value)(reading)?;
        let mut metric = Metric::default();
        if description.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        let mut family = MetricFamily::default();
        family.set_name(description.name.to_owned());
        family.set_help(description.help.to_owned());
        family.set_field_type(description.kind);
        family.set_metric(vec![metric]);
        Some(family)
    };
    DESCRIPTIONS.iter().filter_map(shown).collect()
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;

    /// The lines without comments.
    fn lines(families: &[MetricFamily]) -> Vec<String> {
        let text = TextEncoder::new().encode_to_string(families).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn files_of_proc_are_read_as_the_manual_has_them() {
        let proc = tempfile::tempdir().unwrap();
        let own = proc.path().join("self");
        fs::create_dir(&own).unwrap();
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 9 0 0 0 150 25 0 0 20 0 4 0 4200 1000 2 3\n";
        fs::write(own.join("stat"), stat).unwrap();
        fs::write(own.join("status"), "VmSize:\t  2048 kB\nVmRSS:\t 512 kB\nThreads:\t4\n")
            .unwrap();
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  524288  files\n";
        fs::write(own.join("limits"), limits).unwrap();
        assert_eq!(
            lines(&families(&Reading::of(proc.path(), Some(1_000.0)))),
            [
                "process_cpu_seconds_total 1.75",
                "process_resident_memory_bytes 524288",
                "process_virtual_memory_bytes 2097152",
                "process_max_fds 1024",
                "process_threads 4",
                "process_start_time_seconds 1042",
            ],
            "and nothing of open files, whose folder is not there"
        );
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let nothing = tempfile::tempdir().unwrap();
        assert!(families(&Reading::of(nothing.path(), None)).is_empty());
    }

    #[test]
    fn this_process_has_all_of_them() {
        let registry = Registry::new();
        registry.register(Box::new(ProcessMetrics::new().unwrap())).unwrap();
        assert_eq!(lines(&registry.gather()).len(), DESCRIPTIONS.len());
    }
}
