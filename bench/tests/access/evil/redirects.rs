//! Where our own pages can be made to lead: to the platform, or to a session on its own host, and
//! nowhere else.

use super::*;

const EVIL: [&str; 14] = [
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "https://evil.example/",
    "https:evil.example",
    "javascript:alert(1)",
    "/\t/evil.example/",
    "/%0d%0aSet-Cookie:%20a=1",
    "@evil.example/",
    ".evil.example/",
    "/_studio/ada/../eve/",
    "/_studio/ada/%2e%2e/eve/",
    "/_studio/ada@evil.example/",
];

/// Every byte that is not plain, as a query has it.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.';
    let one = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// It leads, as a browser reads it, to one of these origins or stays where it is.
#[track_caller]
fn leads_home(house: &House, answer: &Response, asked: &str) {
    let Some(to) = answer.field("location") else { return };
    let homes =
        [format!("https://{CONNECT_HOST}"), url("ada"), url("eve"), house.provider.origin()];
    let home = |home: &String| to.strip_prefix(home.as_str()).is_some_and(|r| r.starts_with('/'));
    let stays = to.starts_with('/') && !to.starts_with("//") && !to.contains('\\');
    assert!(homes.iter().any(home) || stays, "{asked} leads to {to}");
    let path = to.split('?').next().unwrap_or_default();
    let leaves = path.contains("..") || path.contains("%2e");
    // Beyond the prefix there is another session.
    assert!(
        !path.starts_with("https://connect.example.com/_studio/") || !leaves,
        "{asked} leads to {to}"
    );
    assert!(to.bytes().all(|byte| byte.is_ascii_graphic()), "{asked} leads to {to:?}");
    assert!(answer.field("set-cookie").is_none_or(|all| !all.contains("a=1")), "{asked}");
}

#[test]
fn signing_in_leads_nowhere_but_to_sessions() {
    let all = Neighbours::start();
    let house = &all.house;
    let browser = house.browser();
    let page = all.ada_at_eves(&browser);
    let login = cookie(&page, "__Host-portico-login", CONNECT_HOST);
    let bind = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
    for signed_in in ["", &format!("Cookie: __Host-portico-login={login}\r\n")] {
        for by in ["subdomain", "path", "evil"] {
            for to in EVIL {
                let to = escaped(to);
                let target =
                    format!("/_portico/login?session=ada&by={by}&bind={bind}&to={to}&next={to}");
                let answer = get(house, CONNECT_HOST, &target, signed_in);
                leads_home(house, &answer, &target);
                // The ticket says the same of where to go on the session.
                let Some(to) = answer.field("location") else { continue };
                let Some((_, opened)) = to.split_once(&host("ada")) else { continue };
                let fields = "Cookie: __Host-portico-start=\r\n";
                leads_home(house, &get(house, &host("ada"), opened, fields), opened);
            }
        }
        for session in ["", "none", "evil.example", "ada.evil.example", "ada/../eve", "ada%0d%0a"] {
            let target = format!("/_portico/login?session={session}&by=path");
            let answer = get(house, CONNECT_HOST, &target, signed_in);
            assert_eq!((answer.status, answer.field("location")), (404, None), "{target}");
        }
        // A session that is not for her.
        house.change("eve", &json!({ "allowed_users": [] }));
        let target = format!("/_portico/login?session=eve&by=subdomain&bind={bind}");
        let answer = get(house, CONNECT_HOST, &target, signed_in);
        let denied = !signed_in.is_empty();
        assert!(!denied || answer.status == 403, "{}", answer.first_line);
        house.change("eve", &json!({ "allowed_users": ["ada"] }));
    }
}

/// Without a slash, on the plain listener, and with the whole URL in the request line.
#[test]
fn the_edges_small_redirects_lead_nowhere_else() {
    let all = Neighbours::start();
    let house = &all.house;
    for target in [
        "/_studio/ada",
        "/_studio/ada?//evil.example/",
        "/_studio/ada?to=https://evil.example/",
        "//evil.example/_studio/ada",
        "/_studio/ada\\evil.example",
        "/_studio//evil.example",
        "/_portico/../evil",
        "/_portico/login/..//evil.example",
        "//evil.example/_portico/login",
    ] {
        for host in [CONNECT_HOST.to_owned(), host("ada")] {
            let answer = get(house, &host, target, "Sec-Fetch-Mode: navigate\r\n");
            leads_home(house, &answer, target);
        }
    }
    for (line, host) in [
        ("GET https://evil.example/_studio/ada", CONNECT_HOST),
        ("GET https://evil.example/_portico/login?session=ada", CONNECT_HOST),
        ("GET https://connect.example.com/_portico/login?session=ada", "evil.example"),
        ("GET https://connect.example.com@evil.example/_studio/ada", CONNECT_HOST),
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = house.client(CONNECT_HOST).exchange(request);
        leads_home(house, &answer, line);
        assert!(answer.field("set-cookie").is_none(), "{line}");
    }
}

#[test]
fn a_callback_that_this_browser_did_not_begin_signs_nobody_in() {
    let all = Neighbours::start();
    let house = &all.house;
    // Eve begins, signs in, and keeps what comes back from the platform.
    let begun = get(house, CONNECT_HOST, "/_portico/login?session=ada&by=path", "");
    let to = begun.field("location").expect("a redirect");
    let state = to.split("state=").nth(1).and_then(|rest| rest.split('&').next());
    let state = state.expect("a state").to_owned();
    let name = format!("__Host-portico-state-{state}");
    let sealed = begun.field("set-cookie").expect("the state's cookie");
    assert!(sealed.starts_with(&name) && sealed.contains("HttpOnly"), "{sealed}");
    let foreign = format!("/_portico/callback?code=abc&state={state}");
    for (target, fields) in [
        (foreign.as_str(), String::new()),
        (&foreign, format!("Cookie: {name}=abc\r\n")),
        (&foreign, format!("Cookie: {name}=\r\n")),
        (&foreign, format!("Cookie: __Host-portico-state-x={state}\r\n")),
        ("/_portico/callback", String::new()),
        ("/_portico/callback?code=abc", String::new()),
        ("/_portico/callback?code=abc&state=", "Cookie: __Host-portico-state-=x\r\n".into()),
        ("/_portico/callback?error=x%0d%0aSet-Cookie:a=1&state=%0d%0a", String::new()),
        ("/_portico/callback?error=%3Cscript%3E&state=x", String::new()),
    ] {
        let answer = get(house, CONNECT_HOST, target, &fields);
        assert_eq!(answer.status, 403, "{target} {fields}: {}", answer.text());
        assert!(answer.field("location").is_none() && answer.field("set-cookie").is_none());
        assert!(!answer.text().contains("<script>"), "{}", answer.text());
    }
    // A true state with a code that the platform did not give.
    let value = sealed.split(';').next().unwrap_or_default().to_owned();
    let answer = get(house, CONNECT_HOST, &foreign, &format!("Cookie: {value}\r\n"));
    assert!(answer.status >= 400, "{}", answer.first_line);
    assert!(!answer.field("set-cookie").unwrap_or_default().contains("login"));
}

/// Only the page with the button does; a sibling's form, fetch or picture does not.
#[test]
fn only_our_own_page_signs_out() {
    let all = Neighbours::start();
    let browser = all.house.browser();
    let page = all.ada_at_eves(&browser);
    let logout = format!("https://{CONNECT_HOST}/_portico/logout");
    page.eval(&format!(
        "fetch('{logout}', {{ method: 'POST', mode: 'no-cors', credentials: 'include' }})"
    ));
    page.eval(&format!(
        "(() => {{ const form = document.createElement('form'); form.method = 'post'; \
         form.action = '{logout}'; document.body.append(form); form.submit(); }})()"
    ));
    page.wait_for_text("Only Portico's own page signs out");
    page.open(&url("ada"));
    page.wait_for_text("this is ada's");
    page.open(&logout);
    page.wait_for_text("You are signed in as ada");
    page.click("button");
    page.wait_for_url(&all.house.provider.origin());
    assert!(page.cookies().iter().all(|c| c["name"] != "__Host-portico-login"));
}
