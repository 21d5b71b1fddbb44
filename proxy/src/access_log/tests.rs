//! The log written to a vector, a blocked output and a broken one.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use super::*;

fn entry() -> Entry {
    Entry {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_000_000_123),
        client: "192.0.2.1:4711".parse().unwrap(),
        session: Some(Label::parse("a1b2c3d4").unwrap()),
        host: Field::new(b"a1b2c3d4.connect.example.com"),
        method: Field::new(b"GET"),
        target: Field::new(b"/lab?token=abc&reset"),
        status: 200,
        bytes_in: 310,
        bytes_out: 4096,
        duration: Duration::from_micros(1_234),
        upgrade: false,
        user_agent: Some(Field::new(b"curl/8")),
    }
}

fn line(format: Format, entry: &Entry) -> String {
    let mut line = Vec::new();
    format(entry, &mut line);
    String::from_utf8(line).unwrap()
}

#[test]
fn both_forms_say_the_same() {
    assert_eq!(
        line(line::json, &entry()),
        concat!(
            r#"{"time":"2026-11-18T11:06:40.123Z","client":"192.0.2.1:4711","session":"a1b2c3d4","#,
            r#""host":"a1b2c3d4.connect.example.com","method":"GET","#,
            r#""target":"/lab?token=***&reset","status":200,"bytes_in":310,"bytes_out":4096,"#,
            r#""duration_ms":1.234,"upgrade":false,"#,
            r#""user_agent":"curl/8"}"#
        )
    );
    assert_eq!(
        line(line::text, &entry()),
        concat!(
            "time=2026-11-18T11:06:40.123Z client=192.0.2.1:4711 session=a1b2c3d4 ",
            r#"host="a1b2c3d4.connect.example.com" method="GET" target="/lab?token=***&reset" "#,
            "status=200 bytes_in=310 bytes_out=4096 duration_ms=1.234 upgrade=false ",
            r#"user_agent="curl/8""#
        )
    );
}

#[test]
fn no_request_forges_a_line() {
    let evil = b"a\" status=200 \n\r\x1b[2J\\\xff\xc2\x9b\xe2\x80\xae{}";
    let entry = Entry {
        session: None,
        host: Field::new(evil),
        method: Field::new(evil),
        target: Field::new(evil),
        user_agent: Some(Field::new(evil)),
        ..entry()
    };
    let text = line(line::text, &entry);
    assert!(text.is_ascii() || !text.contains(['\u{9b}', '\u{202e}']), "{text}");
    assert!(!text.contains(['\n', '\r', '\x1b']), "{text}");
    assert_eq!(text.matches(" status=200 ").count(), 5, "one of its own and four inside quotes");
    assert_eq!(text.matches("\\\" status=200 ").count(), 4);
    let json = line(line::json, &entry);
    assert!(!json.contains(['\n', '\r', '\x1b']), "{json}");
    let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed["host"], String::from_utf8_lossy(evil).as_ref());
    assert_eq!(parsed["session"], serde_json::Value::Null);
}

#[test]
fn a_field_is_cut() {
    let long = "ä".repeat(ACCESS_LOG_FIELD_BYTES_MAX);
    let field = Field::new(&long.as_bytes()[1..]);
    assert!(field.as_str().len() <= ACCESS_LOG_FIELD_BYTES_MAX + 4);
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn all_lines_are_written_before_the_writer_ends() {
    let output = Shared::default();
    let (sender, writer) = start_with(line::text, output.clone()).unwrap();
    let counters = WorkerCounters::default();
    for _ in 0..1_000 {
        sender.log(entry(), &counters);
    }
    drop(sender);
    writer.finish(Duration::from_secs(10));
    let written = output.0.lock().unwrap();
    assert_eq!(written.iter().filter(|&&byte| byte == b'\n').count(), 1_000);
    assert_eq!(counters.access_log_dropped.value(), 0);
}

/// Says when a write begins, and ends it when told to.
struct Blocked(mpsc::Sender<()>, Receiver<()>);

impl Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(());
        let _ = self.1.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_who_stalls_costs_lines_and_not_time() {
    let (begun, wait_begun) = mpsc::channel();
    let (go_on, wait_go_on) = mpsc::channel();
    let (sender, writer) = start_with(line::text, Blocked(begun, wait_go_on)).unwrap();
    let counters = WorkerCounters::default();
    sender.log(entry(), &counters);
    wait_begun.recv().unwrap();
    for _ in 0..ACCESS_LOG_QUEUE_MAX + 7 {
        sender.log(entry(), &counters);
    }
    assert_eq!(counters.access_log_dropped.value(), 7);
    assert_eq!(counters.limit_reached.at(Limit::AccessLogQueue).value(), 7);
    drop(go_on);
    drop(sender);
    writer.finish(Duration::from_secs(10));
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_is_gone_stops_nobody() {
    let (sender, writer) = start_with(line::json, Broken).unwrap();
    let counters = WorkerCounters::default();
    for _ in 0..10 {
        sender.log(entry(), &counters);
    }
    drop(sender);
    writer.finish(Duration::from_secs(10));
    assert_eq!(counters.access_log_dropped.value(), 0);
}
