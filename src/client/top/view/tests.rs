//! Tests of what is looked at, on a few rows.

use serde_json::json;

use super::super::layout;
use super::super::rows::tests::rows;
use super::*;

fn view(pane: Pane, sort: Sort) -> View {
    View { pane, sort, reversed: false, skipped: 0, rows_max: 10 }
}

/// `still` has the larger sum and `busy` the higher rate.
fn seen() -> Seen {
    let before = [("busy", "genomics", 1_000), ("still", "imaging", 9_000)];
    let came = [("busy", "genomics", 500)];
    let rates = Rates { over: Duration::from_secs(10), came: rows(&came) };
    Seen {
        rows: Arc::new(rows(&before)),
        rates: Some(Arc::new(rates)),
        open: HashMap::from([("busy".to_owned(), [1, 2, 0])]),
        replicas: vec![
            json!({ "id": "all-1", "role": "all", "alive": true, "host": "edge-1",
                    "version": "0.1.0", "started_at": "2026-02-01T09:00:00.000Z" }),
            json!({ "id": "all-2", "alive": false, "started_at": "2026-02-01T09:00:00.000Z" }),
        ],
        ..Seen::default()
    }
}

fn names(seen: &Seen, view: &View) -> Vec<String> {
    let sorted = seen.sorted(view);
    sorted.into_iter().map(|row| row.whose.session + &row.whose.workspace).collect()
}

fn text(seen: &Seen, view: &View) -> String {
    let now = humantime::parse_rfc3339("2026-02-04T13:30:05Z").unwrap();
    let (columns, rows) = seen.table(view, &seen.sorted(view), now);
    layout::lines(columns, &rows, 1_000).join("\n")
}

#[test]
fn the_busiest_is_first_by_rates_and_before_they_are_known_by_sums() {
    let mut seen = seen();
    let mut view = view(Pane::Session, Sort::Bytes);
    assert_eq!(names(&seen, &view), ["busygenomics", "stillimaging"]);
    view.reversed = true;
    assert_eq!(names(&seen, &view), ["stillimaging", "busygenomics"]);
    view.reversed = false;
    seen.rates = None;
    assert_eq!(names(&seen, &view), ["stillimaging", "busygenomics"]);
    view.sort = Sort::Name;
    assert_eq!(names(&seen, &view), ["busygenomics", "stillimaging"]);
}

#[test]
fn sessions_have_rates_open_connections_and_sums() {
    let text = text(&seen(), &view(Pane::Session, Sort::Bytes));
    let wanted = "\
SESSION  WORKSPACE  USER  OPEN  REQ/S  IN/S  OUT/S  RTT-50  RTT-90  RETR/S   LOST      IN     OUT
busy     genomics   ada      3    0.0   50B   100B  <0.0ms  <0.0ms     0.1  1.00%  1.00kB  2.00kB
still    imaging    ada      -    0.0    0B     0B       -       -     0.0      -  9.00kB  18.0kB";
    assert_eq!(text, wanted);
}

#[test]
fn workspaces_and_users_are_sums_of_sessions() {
    let text = text(&seen(), &view(Pane::User, Sort::Bytes));
    let wanted = "\
USER  SESSIONS  REQ/S  IN/S  OUT/S  RTT-50  RTT-90  RETR/S   LOST      IN     OUT
ada          2    0.0   50B   100B  <0.0ms  <0.0ms     0.1  1.00%  10.0kB  20.0kB";
    assert_eq!(text, wanted);
    let view = view(Pane::Workspace, Sort::In);
    assert_eq!(names(&seen(), &view), ["genomics", "imaging"]);
}

#[test]
fn replicas_tell_how_long_they_have_been_up() {
    let text = text(&seen(), &view(Pane::Replica, Sort::Bytes));
    let wanted = "\
REPLICA  ROLE  ALIVE  HOST    VERSION        UP
all-1    all   yes    edge-1  0.1.0    3days 4h
all-2    -     no     -       -               -";
    assert_eq!(text, wanted);
}

#[test]
fn what_is_shown_stays_within_what_there_is() {
    let view = View { skipped: 7, rows_max: 5, ..view(Pane::Session, Sort::Bytes) };
    assert_eq!(view.range(100), 7..12);
    assert_eq!(view.range(10), 5..10);
    assert_eq!(view.range(3), 0..3);
    let all = View { rows_max: usize::MAX, skipped: 0, ..view };
    assert_eq!(all.range(3), 0..3);
}

#[test]
fn keys_go_round_all_panes_and_orders() {
    let mut sort = Sort::Bytes;
    for _ in Sort::value_variants() {
        assert_eq!(sort.next().previous(), sort);
        sort = sort.next();
    }
    assert_eq!((sort, Pane::Replica.next()), (Sort::Bytes, Pane::Session));
}
