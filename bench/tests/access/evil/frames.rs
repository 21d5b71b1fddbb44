//! Windows and frames: eve's page shows none of ada's, and reaches into none; the platform's may
//! show a session, which works there.

use super::*;

/// Puts a frame into a page and gives what it shows, as far as the page may know, or its name.
fn frame(page: &Page, target: &str) {
    page.eval(&format!(
        "new Promise(done => {{ const f = document.createElement('iframe'); f.onload = done; \
         f.src = '{target}'; document.body.append(f); }})"
    ));
}

/// The browser shows its own page in place of what was to be in the frame.
#[track_caller]
fn shows_nothing(page: &Page, target: &str) {
    let shown = page.frame("chrome-error://").eval("document.body.innerText");
    assert!(!shown.as_str().unwrap_or_default().contains("this is ada's"), "{target}: {shown}");
}

#[test]
fn a_sibling_frames_neither_a_session_nor_our_own_pages() {
    let all = Neighbours::start();
    let hidden = tool("Content-Security-Policy: frame-ancestors *\r\n", "this is ada's");
    all.house.session("open", &hidden.url(), json!({}));
    let browser = all.house.browser();
    let page = all.ada_at_eves(&browser);
    let portico = format!("https://{CONNECT_HOST}/_portico");
    for target in [
        url("ada"),
        by_path("ada"),
        url("open"),
        format!("{}/_portico/open?ticket=x", url("ada")),
        format!("{portico}/callback"),
        format!("{portico}/login?session=none"),
        format!("{portico}/logout"),
        format!("{portico}/signed-out"),
        format!("https://{CONNECT_HOST}/_studio/none/"),
    ] {
        page.open(&url("eve"));
        frame(&page, &target);
        shows_nothing(&page, &target);
        let refused = page.errors();
        let refused = refused.iter().any(|e| e.contains("frame-ancestors"));
        assert!(refused, "{target}: {:?}", page.errors());
    }
    // And so the 403 of a session that is not hers, and of everything that is refused.
    let eve = all.house.signed_in(&browser, "eve", &url("ada"));
    eve.wait_for_text("This session is not open to you");
    let grant = cookie(&page, "__Host-portico-grant", &host("eve"));
    all.house.change("eve", &json!({ "allowed_users": [] }));
    let held = format!("Cookie: __Host-portico-grant={grant}\r\nAccept: text/html\r\n");
    let denied = eventually("the change is known", || {
        let answer = get(&all.house, &host("eve"), "/", &held);
        (answer.status == 403).then_some(answer)
    });
    let foreign = format!("{held}Origin: https://evil.example\r\n");
    for answer in [denied, get(&all.house, &host("eve"), "/", &foreign)] {
        let policy = answer.field("content-security-policy").unwrap_or_default();
        let expected = format!("frame-ancestors 'self' {}", all.house.provider.origin());
        assert!(policy.contains(&expected), "{}: {policy}", answer.first_line);
    }
}

#[test]
fn the_platform_shows_a_session_in_a_frame_and_it_works_there() {
    let all = Neighbours::start();
    let browser = all.house.browser();
    let page = all.house.signed_in(&browser, "ada", &url("ada"));
    page.wait_for_text("this is ada's");
    let embed = format!("{}/embed?url=", all.house.provider.origin());
    // Without a grant yet, too: by path the sign-in goes on inside.
    for (target, part) in [(url("ada"), "ada.connect"), (by_path("ada"), "/_studio/ada/")] {
        page.open(&format!("{embed}{target}"));
        let inner = page.frame(part);
        inner.wait_for_text("this is ada's");
        let answer = inner.eval("fetch('inner', { method: 'POST' }).then(r => r.status)");
        assert_eq!(answer, 200, "{target}");
    }
    let inner = all.ada.requests().iter().filter(|r| r.target.ends_with("/inner")).count();
    assert_eq!(inner, 2);
}

#[test]
fn a_window_that_eve_opens_is_out_of_her_reach() {
    let all = Neighbours::start();
    let browser = all.house.browser();
    let page = all.ada_at_eves(&browser);
    for target in [url("ada"), by_path("ada"), format!("https://{CONNECT_HOST}/_portico/logout")] {
        let reached = page.eval(&format!(
            "new Promise(done => {{
                const opened = window.open('{target}');
                const reach = () => {{
                    const tries = [
                        () => opened.document.body.innerText,
                        () => opened.location.href,
                        () => opened.localStorage.length,
                        () => opened.eval('1'),
                        () => opened.fetch('/'),
                    ];
                    const got = [];
                    for (const one of tries) try {{ got.push(String(one())) }} catch {{}}
                    opened.close();
                    done(got.filter(text => text !== 'undefined').join());
                }};
                setTimeout(reach, 1500);
            }})"
        ));
        assert_eq!(reached, "", "{target}");
    }
    // Nor does an older trick make them one origin.
    let reached = page.eval(
        "(() => { try { document.domain = 'connect.example.com' } catch {} \
         return new Promise(done => { const w = window.open('https://ada.connect.example.com/'); \
         setTimeout(() => { try { done(w.document.title) } catch { done('') } w.close() }, 1500) \
         }) })()",
    );
    assert_eq!(reached, "");
}
