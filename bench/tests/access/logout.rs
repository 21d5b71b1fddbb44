//! The end of a sign-in, by the user and by the platform: what is open closes, on the other replica
//! too, and only what is that user's.

use portico_bench::world::browser::Page;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::{CONNECT_HOST, eventually};
use serde_json::json;

use crate::house::{House, host, url};
use crate::walker::Walker;

/// A page that opens a WebSocket to where it comes from.
fn tool() -> Upstream {
    Upstream::scripted(|connection| {
        while let Some(request) = connection.head() {
            if request.message.field("upgrade").is_some() {
                connection.send(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                     Upgrade: websocket\r\nSec-WebSocket-Accept: ",
                );
                let key = request.message.field("sec-websocket-key").unwrap_or_default();
                let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
                connection.send(format!("{accept}\r\n\r\n"));
                connection.read_to_close();
                return;
            }
            connection.answer(
                "text/html",
                "<h1>The tool</h1><script>\
                 const socket = new WebSocket(`wss://${location.host}/kernel`)</script>",
            );
        }
    })
}

fn opened(house: &House, browser: &portico_bench::world::browser::Browser, user: &str) -> Page {
    let page = house.signed_in(browser, user, &format!("{}/", url("one")));
    page.wait_for_text("The tool");
    eventually("the WebSocket is open", || {
        let opened = |s: &portico_bench::world::browser::Socket| s.opened_at.is_some();
        page.sockets().iter().any(opened).then_some(())
    });
    page
}

#[test]
fn who_signs_out_leaves_nothing_open_here_or_at_the_platform() {
    let house = House::start();
    let tool = tool();
    house.session("one", &tool.url(), json!({ "access": "workspace" }));
    let browser = house.browser();
    let (ada, bob) = (opened(&house, &browser, "ada"), opened(&house, &browser, "bob"));
    assert_eq!(house.provider.sessions().len(), 2);

    let leaving = ada.another();
    leaving.open(&format!("https://{CONNECT_HOST}/_portico/logout"));
    leaving.wait_for_text("You are signed in as ada");
    leaving.click("button");
    let (_, closed) = ada.closed_socket("/kernel");
    assert_eq!((closed.code, closed.clean), (4403, true));
    // The platform asks, because it is not told which of its sessions is meant.
    leaving.click("#yes");
    leaving.wait_for_text("You are signed out");
    assert_eq!(house.provider.sessions().len(), 1);
    assert!(bob.sockets().iter().all(|socket| socket.closed.is_none()), "bob stays");

    ada.open(&format!("{}/", url("one")));
    ada.wait_for("input[name=login]");
    assert!(ada.url().contains("platform.example.com"), "{}", ada.url());
}

#[test]
fn whom_the_platform_logs_out_is_out_here_too() {
    let house = House::start();
    let tool = tool();
    house.session("one", &tool.url(), json!({ "access": "workspace" }));
    let browser = house.browser();
    let (ada, bob) = (opened(&house, &browser, "ada"), opened(&house, &browser, "bob"));
    let told = house.provider.log_out("ada");
    assert!(told.iter().all(|client| client["error"].is_null()), "{told:?}");
    let (_, closed) = ada.closed_socket("/kernel");
    assert_eq!((closed.code, closed.clean), (4403, true));
    assert!(bob.sockets().iter().all(|socket| socket.closed.is_none()), "bob stays");
    ada.open(&format!("{}/", url("one")));
    ada.wait_for("input[name=login]");
    // And a new sign-in is a new one.
    ada.sign_in("ada");
    ada.wait_for_text("The tool");
}

#[test]
fn nobody_else_signs_a_user_out() {
    let house = House::start();
    let upstream = Upstream::echo();
    house.session("one", &upstream.url(), json!({}));
    let mut ada = Walker::new(&house, "ada");
    assert_eq!(ada.open(&format!("{}/", url("one"))).status, 200);
    let backchannel = format!("https://{CONNECT_HOST}/_portico/backchannel-logout");
    for forged in ["logout_token=nonsense", "logout_token=a.b.c", "x=y"] {
        let answer = Walker::new(&house, "eve").step("POST", &backchannel, forged);
        assert_eq!(answer.status, 400, "{forged}: {}", answer.text());
    }
    let refused = house.metric("portico_sign_ins_total", "outcome=\"logout_token_refused\"");
    assert_eq!(refused, 2.0);
    let from_elsewhere = house.client(CONNECT_HOST).exchange(format!(
        "POST /_portico/logout HTTP/1.1\r\nHost: {CONNECT_HOST}\r\nContent-Length: 0\r\n\
         Origin: {}\r\nSec-Fetch-Site: same-site\r\n\r\n",
        url("one")
    ));
    assert_eq!(from_elsewhere.status, 403);
    assert_eq!(ada.open(&format!("{}/again", url("one"))).status, 200);
    assert_eq!(ada.asked, 1, "{}", host("one"));
}
