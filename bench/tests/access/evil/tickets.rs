//! A ticket carries one user to one session: whoever gets hold of one, or makes another use it,
//! gets no further.

use super::*;

const LOGIN: &str = "__Host-portico-login";

fn set_cookies(response: &Response) -> String {
    response.values("set-cookie").join("\n")
}

/// The cookie of a name, as a `Set-Cookie` brought it.
fn brought(response: &Response, name: &str) -> Option<String> {
    let all = response.values("set-cookie");
    let pair = all.iter().find_map(|value| value.strip_prefix(name)?.strip_prefix('='))?;
    pair.split(';').next().map(str::to_owned)
}

fn platform_ticket(house: &House, id: &str, user: &str) -> String {
    let asked = json!({ "user": user });
    let answer = house.api("POST", &format!("/v1/sessions/{id}/tickets"), Some(&asked), 201);
    answer.json()["ticket"].as_str().expect("a ticket").to_owned()
}

/// A tool's service worker sees the URL by which its user comes.
#[test]
fn a_ticket_that_a_tool_stole_opens_none_of_the_users_other_sessions() {
    let all = Neighbours::start();
    let house = &all.house;
    let other = tool("", "another of ada's");
    house.session("other", &other.url(), json!({}));
    let ticket = platform_ticket(house, "ada", "ada");
    let opened =
        get(house, CONNECT_HOST, &format!("/_portico/open?session=ada&ticket={ticket}"), "");
    assert_eq!(opened.status, 303, "{}", opened.text());
    // What it is for.
    let cookies: Vec<_> = [LOGIN, "__Secure-portico-grant-ada"]
        .iter()
        .filter_map(|name| Some(format!("{name}={}", brought(&opened, name)?)))
        .collect();
    let cookies = format!("Cookie: {}\r\n", cookies.join("; "));
    assert_eq!(get(house, CONNECT_HOST, "/_studio/ada/", &cookies).status, 200);
    // What it is not for.
    for by in ["path", "subdomain"] {
        let target = format!("/_portico/login?session=other&by={by}&to=/_studio/other/");
        let answer = get(house, CONNECT_HOST, &target, &cookies);
        let to = answer.field("location").unwrap_or_default();
        assert!(to.starts_with(&house.provider.origin()), "{by}: {to} {}", set_cookies(&answer));
        assert!(!set_cookies(&answer).contains("portico-grant"), "{}", set_cookies(&answer));
    }
    assert!(other.requests().is_empty());
}

/// Under a path all sessions are one origin: who works as eve there works beside her scripts.
#[test]
fn a_ticket_of_eves_does_not_sign_adas_browser_in_as_eve() {
    let all = Neighbours::start();
    let house = &all.house;
    let browser = house.browser();
    let page = all.ada_at_eves(&browser);
    let before = cookie(&page, LOGIN, CONNECT_HOST);
    let ticket = platform_ticket(house, "eve", "eve");
    let target = format!("https://{CONNECT_HOST}/_portico/open?session=eve&ticket={ticket}");
    page.eval(&format!("void (location.href = '{target}')"));
    page.wait_for_text("signed in as ada: sign out first");
    assert_eq!(cookie(&page, LOGIN, CONNECT_HOST), before);
    page.open(&by_path("ada"));
    page.wait_for_text("this is ada's");

    // Nor while she is not signed in yet, whatever the page hides, but by her own will.
    let new = browser.user("new");
    new.open(&format!("{}/embed?url=about:blank", house.provider.origin()));
    let ticket = platform_ticket(house, "eve", "eve");
    let target = format!("https://{CONNECT_HOST}/_portico/open?session=eve&ticket={ticket}");
    new.eval(&format!(
        "(() => {{ const meta = document.createElement('meta'); meta.name = 'referrer'; \
         meta.content = 'no-referrer'; document.head.append(meta); location.href = '{target}'; \
         }})()"
    ));
    new.wait_for_text("opens the session as eve");
    assert!(new.cookies().iter().all(|c| c["name"] != LOGIN), "{:?}", new.cookies());
    new.click("button");
    new.wait_for_text("this is eve's");
}

#[test]
fn the_platforms_own_link_still_opens_a_session_by_path() {
    let all = Neighbours::start();
    let house = &all.house;
    let browser = house.browser();
    let page = browser.user("ada");
    page.open(&format!("{}/embed?url=about:blank", house.provider.origin()));
    let ticket = platform_ticket(house, "ada", "ada");
    let target = format!("https://{CONNECT_HOST}/_portico/open?session=ada&ticket={ticket}");
    page.eval(&format!("void (location.href = '{target}')"));
    page.wait_for_text("this is ada's");
    assert_eq!(page.url(), by_path("ada"));
}

#[test]
fn a_ticket_of_a_sign_in_is_for_the_browser_that_began_it_on_the_host_where_it_began() {
    let all = Neighbours::start();
    let house = &all.house;
    let browser = house.browser();
    let page = all.ada_at_eves(&browser);
    let login = format!("Cookie: {LOGIN}={}\r\n", cookie(&page, LOGIN, CONNECT_HOST));
    // Without a browser that it is bound to there is no ticket, but the session's own beginning.
    for bind in ["", "&bind=", "&bind=x", "&bind=%0d%0a"] {
        let target = format!("/_portico/login?session=ada&by=subdomain&to=/lab{bind}");
        let answer = get(house, CONNECT_HOST, &target, &login);
        let to = answer.field("location").unwrap_or_default();
        assert_eq!((answer.status, to), (303, format!("{}/lab", url("ada"))), "{bind}");
    }
    // With one, another browser gets nothing for it, on neither host; nor does another session.
    let begun = get(house, &host("ada"), "/lab", "Sec-Fetch-Mode: navigate\r\n");
    let nonce = brought(&begun, "__Host-portico-start").expect("a secret of this browser");
    let to = begun.field("location").expect("a redirect");
    let login_target = to.split_once(CONNECT_HOST).expect("the connect host").1.to_owned();
    let handed = get(house, CONNECT_HOST, &login_target, &login);
    let opened = handed.field("location").expect("a redirect");
    let target = opened.split_once(&host("ada")).expect("ada's host").1.to_owned();
    let ticket = target.split_once("ticket=").expect("a ticket").1.to_owned();
    let path = format!("/_portico/open?session=ada&ticket={ticket}");
    let start = format!("Cookie: __Host-portico-start={nonce}\r\n");
    let other = format!("Cookie: __Host-portico-start={}\r\n", "0".repeat(32));
    for (host, target, fields) in [
        (host("ada"), &target, ""),
        (host("ada"), &target, other.as_str()),
        (host("eve"), &target, start.as_str()),
        (CONNECT_HOST.to_owned(), &path, ""),
        (CONNECT_HOST.to_owned(), &path, start.as_str()),
    ] {
        let answer = get(house, &host, target, fields);
        assert_eq!(answer.status, 403, "{host}{target} {fields}");
        assert!(!set_cookies(&answer).contains("grant"), "{}", set_cookies(&answer));
    }
    // It was not used up by that, and is after.
    let answer = get(house, &host("ada"), &target, &start);
    assert_eq!((answer.status, answer.field("location")), (303, Some(url("ada") + "/lab")));
    assert_eq!(get(house, &host("ada"), &target, &start).status, 403);
}
