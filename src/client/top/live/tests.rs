//! Tests of what a window shows, of any size.

use std::sync::Arc;

use super::super::history::Rates;
use super::super::rows::tests::rows;
use super::super::view::Sort;
use super::*;

fn live(sessions: usize) -> Live {
    let names: Vec<_> = (0..sessions).map(|n| format!("session-{n:03}")).collect();
    let items: Vec<_> = names.iter().map(|name| (name.as_str(), "genomics", 5)).collect();
    let rates = Rates { over: Duration::from_millis(10_200), came: rows(&items) };
    let seen = Seen {
        rows: Arc::new(rows(&items)),
        rates: Some(Arc::new(rates)),
        from: "2026-02-01T09:00:00Z".to_owned(),
        ..Seen::default()
    };
    let view =
        View { pane: Pane::Session, sort: Sort::Bytes, reversed: false, skipped: 0, rows_max: 0 };
    let mut live = Live { seen, view, limit: None, failed: None, sorted: Vec::new() };
    live.sort();
    live
}

fn window(live: &mut Live, width: usize, height: usize) -> Vec<String> {
    let size = Size { width, height };
    live.resize(size);
    live.lines(size, SystemTime::now()).into_iter().map(|line| line.text).collect()
}

#[test]
fn a_window_of_any_size_is_filled_and_no_more() {
    let mut live = live(30);
    for (width, height) in [(80, 24), (200, 60), (20, 5), (1, 1), (0, 2)] {
        let lines = window(&mut live, width, height);
        assert_eq!(lines.len(), height);
        assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:?}");
    }
    let lines = window(&mut live, 120, 6);
    let header = "portico top: sessions 1-3 of 30, by bytes in and out; rates over 10.2s; \
                  sums since 2026-02-01T09:00Z";
    assert_eq!(lines[0], header);
    assert!(lines[1].starts_with("SESSION") && lines[4].starts_with("session-002"), "{lines:?}");
    assert!(lines[5].starts_with("s sessions"), "{lines:?}");
}

#[test]
fn a_failed_refresh_is_told_and_the_rows_stay() {
    let mut live = live(2);
    let seen = live.seen.clone();
    live.take(seen.clone(), Err(Failure::ours(anyhow::anyhow!("no\nanswer"))));
    let lines = window(&mut live, 80, 10);
    assert_eq!(lines[0], "portico top: no answer");
    assert!(lines[2].starts_with("session-000"), "{lines:?}");
    live.take(seen, Ok(()));
    assert!(window(&mut live, 80, 10)[0].contains("sessions 1-2 of 2"));
}

#[test]
fn a_limit_is_below_what_the_window_has() {
    let mut live = live(30);
    live.limit = Some(2);
    let lines = window(&mut live, 80, 24);
    assert!(lines[0].contains("1-2 of 30") && lines[4].is_empty(), "{lines:?}");
    live.press(Key::PageDown);
    assert!(window(&mut live, 80, 24)[0].contains("3-4 of 30"));
}
