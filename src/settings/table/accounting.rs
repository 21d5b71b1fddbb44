//! The keys about what is counted, and how much of it may be.

use super::Key;
use super::Preset::{Unset, Value};
use super::Shape::Text;
use super::key;

pub static KEYS: &[Key] = &[
    Key {
        short_flag: Some("accounting"),
        ..key(
            "accounting.source",
            Text,
            "auto, ebpf, tcp_info or off",
            Value("auto"),
            "What counts connections; auto is the kernel (eBPF) where the machine allows it.",
        )
    },
    key(
        "accounting.interval",
        Text,
        "duration",
        Value("10s"),
        "How often counts are written to the store: what a kill can lose at most.",
    ),
    key(
        "accounting.session_metrics",
        Text,
        "true or false",
        Value("false"),
        "Whether /metrics has counts of single sessions, at most 1,000, besides workspaces.",
    ),
    key(
        "accounting.on_idle",
        Text,
        "event or stop",
        Value("event"),
        "What follows when a session is idle for its idle_timeout: an event, or stopping too.",
    ),
    key(
        "quotas.policy",
        Text,
        "file, or base64: and its text",
        Unset { meaning: "no quotas", example: "/etc/portico/quotas.json" },
        "The traffic policy (JSON, see QUOTAS.md); it is read again when it changes.",
    ),
];
