//! The sizes and times of a policy as operators write them: `100GB`, and Go's durations.

use std::time::Duration;

/// In the order of their exponents; binary, as in today's policies.
const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];

/// `100GB`, `1.5TB`, `2048`: whole bytes, or none.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim_start());
    let exponent = match unit {
        "" => 0,
        unit => UNITS.iter().position(|known| known.eq_ignore_ascii_case(unit))?,
    };
    scaled(number, 1 << (10 * exponent))
}

/// As Go's `time.ParseDuration`: `24h`, `1h30m`, `1.5h`, `500ms`. Whole milliseconds.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut nanoseconds = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let letters = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.');
        let end = letters.map_or(rest.len(), |letters| digits + letters);
        let unit = match &rest[digits..end] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        nanoseconds = nanoseconds.checked_add(scaled(&rest[..digits], unit)?)?;
        rest = &rest[end..];
    }
    Some(Duration::from_millis(nanoseconds / 1_000_000))
}

/// A decimal number of units, what is less than one part of them left out.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    // More digits are finer than any unit's part that counts.
    let fraction = &fraction[..fraction.len().min(9)];
    let part = match fraction {
        "" => 0,
        digits => {
            let scale = 10_u128.pow(digits.len() as u32);
            (u128::from(digits.parse::<u64>().ok()?) * u128::from(unit) / scale) as u64
        }
    };
    whole.checked_mul(unit)?.checked_add(part)
}

/// The other way round, in the largest unit that divides it.
pub fn words(bytes: u64) -> String {
    let exponent = (bytes.trailing_zeros() / 10).min(4) as usize;
    match bytes {
        0 => "0".to_owned(),
        bytes => format!("{}{}", bytes >> (10 * exponent), UNITS[exponent]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary() {
        for (text, expected) in [
            ("100GB", Some(100 << 30)),
            ("1TB", Some(1 << 40)),
            ("1.5 mb", Some(3 << 19)),
            ("7KB", Some(7 << 10)),
            ("12B", Some(12)),
            ("2048", Some(2048)),
            (".5KB", Some(512)),
            ("", None),
            (".", None),
            ("GB", None),
            ("1.2.3GB", None),
            ("-1GB", None),
            ("1PB", None),
            ("1 G B", None),
            ("99999999999TB", None),
            ("€", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
        for text in ["100GB", "1TB", "3MB", "1537B"] {
            assert_eq!(words(bytes(text).unwrap()), text);
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, milliseconds) in [
            ("24h", Some(86_400_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            ("500ms", Some(500)),
            ("1s500ms", Some(1_500)),
            ("2000000us", Some(2_000)),
            ("720h0m0s", Some(2_592_000_000)),
            ("", None),
            ("24", None),
            ("h", None),
            ("1d", None),
            ("-1h", None),
            ("1 h", None),
            ("9999999999h", None),
            ("1ħ", None),
        ] {
            assert_eq!(duration(text), milliseconds.map(Duration::from_millis), "{text}");
        }
    }
}
