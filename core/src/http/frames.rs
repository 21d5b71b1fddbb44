//! Who may show a session in a frame: `frame-ancestors` of the tool's own policies, with the
//! platform added and everybody taken out, because everybody includes hostile siblings.

/// A `Content-Security-Policy` (several, divided by commas) in which every `frame-ancestors` also
/// has `ours`; and whether it had one.
pub(super) fn merged(value: &[u8], ours: &str) -> (Vec<u8>, bool) {
    let mut found = false;
    let policies: Vec<_> = value
        .split(|b| *b == b',')
        .map(|policy| {
            let directives: Vec<_> =
                policy.split(|b| *b == b';').map(|one| directive(one, ours, &mut found)).collect();
            directives.join(&b";"[..])
        })
        .collect();
    (policies.join(&b","[..]), found)
}

fn directive(text: &[u8], ours: &str, found: &mut bool) -> Vec<u8> {
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    if !words.next().is_some_and(|name| name.eq_ignore_ascii_case(b"frame-ancestors")) {
        return text.to_vec();
    }
    *found = true;
    let mut out = format!(" frame-ancestors {ours}").into_bytes();
    for source in words.filter(|source| names_somebody(source)) {
        out.push(b' ');
        out.extend_from_slice(source);
    }
    out
}

/// Not nobody, who cannot stand beside others, and not everybody: `*`, or a scheme.
fn names_somebody(source: &[u8]) -> bool {
    let everybody = source.starts_with(b"*") || source.ends_with(b":");
    let keyword = source.starts_with(b"'");
    let any_host = source.windows(3).any(|part| part == b"//*");
    !everybody && !keyword && !any_host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_is_added_and_everybody_is_taken_out() {
        for (given, expected, found) in [
            ("default-src 'self'", "default-src 'self'", false),
            ("frame-ancestors 'none'", " frame-ancestors 'self' https://p.example", true),
            (
                "a b; Frame-Ancestors * https: https://x.example http://*; c",
                "a b; frame-ancestors 'self' https://p.example https://x.example; c",
                true,
            ),
            (
                "frame-ancestors 'self', frame-ancestors *.example",
                " frame-ancestors 'self' https://p.example, \
                 frame-ancestors 'self' https://p.example",
                true,
            ),
        ] {
            let (merged, has) = merged(given.as_bytes(), "'self' https://p.example");
            assert_eq!((String::from_utf8(merged).unwrap().as_str(), has), (expected, found));
        }
    }
}
