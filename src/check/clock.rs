//! Clocks: grants and tickets of one machine are judged by the clock of another.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portico_core::limits::CLOCK_SKEW_MAX;

use super::line::Line;

/// `ahead_ms`: how far the other clock is before ours.
pub fn compared(id: &'static str, whose: String, ahead_ms: i64) -> Line {
    let apart = Duration::from_millis(ahead_ms.unsigned_abs());
    let seconds = apart.as_secs();
    let way = if ahead_ms < 0 { "behind" } else { "before" };
    match apart > CLOCK_SKEW_MAX {
        true => {
            let detail = format!("its clock is {seconds} s {way} this machine's");
            let fix = "let both keep time by NTP (`timedatectl` tells); sign-ins fail otherwise";
            Line::warning(id, whose, detail, fix)
        }
        false if seconds == 0 => Line::ok(id, whose, "its clock is this machine's"),
        false => Line::ok(id, whose, format!("its clock is {seconds} s {way} this machine's")),
    }
}

/// Of an HTTP date (RFC 9110 §5.6.7), which has whole seconds.
pub fn ahead_ms(date: &str, now: SystemTime) -> Option<i64> {
    let ms = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok()
    };
    Some((ms(httpdate::parse_http_date(date).ok()?)? - ms(now)?) / 1_000 * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_compared_with_now() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(ahead_ms(date, now), Some(0));
        assert_eq!(ahead_ms(date, now + Duration::from_millis(900)), Some(0));
        assert_eq!(ahead_ms(date, now - Duration::from_secs(90)), Some(90_000));
        assert_eq!(ahead_ms("soon", now), None);
    }

    #[test]
    fn a_minute_apart_is_too_much() {
        let line = compared("clock.redis", String::new(), -59_000);
        assert_eq!(line.status.as_str(), "ok");
        let line = compared("clock.redis", String::new(), -61_000);
        assert!(
            line.status.as_str() == "warning" && line.detail.contains("61 s behind"),
            "{}",
            line.detail
        );
    }
}
