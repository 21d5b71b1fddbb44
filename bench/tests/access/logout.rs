//! The end of a sign-in, by its user in the browser or by the platform: what is open closes at both
//! replicas, the next visit asks again, and nobody else can do it or is touched.

use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use portico_bench::world::browser::Page;
use portico_bench::world::client::{Client, Response};
use portico_bench::world::oidc::PLATFORM_HOST;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::websocket::round_trip;
use portico_bench::world::{CONNECT_HOST, eventually};
use serde_json::{Value, json};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{CloseFrame, Role};
use tungstenite::{Message, WebSocket};

use crate::house::{House, host, url};
use crate::walker::Walker;

const BOUND: Duration = Duration::from_secs(1);
const LOGOUT: &str = "/_portico/logout";

/// A page for browsers and an echo for WebSockets, in one tool.
fn tool() -> Upstream {
    Upstream::scripted(|connection| {
        while let Some(request) = connection.request() {
            let Some(key) = request.field("sec-websocket-key") else {
                connection.answer("text/html", "<title>tool</title>this is the tool");
                continue;
            };
            let accept = derive_accept_key(key.as_bytes());
            connection.send(format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            ));
            let wire = connection.wire();
            let mut socket = WebSocket::from_raw_socket(wire, Role::Server, None);
            while let Ok(message) = socket.read() {
                if message.is_text() && socket.send(message).is_err() {
                    return;
                }
            }
            return;
        }
    })
}

/// Opens a WebSocket in the page, and waits until it carries a message.
fn connected(page: &Page) {
    page.wait_for_text("this is the tool");
    let answer = page.eval(
        "new Promise((resolve, reject) => {
            const socket = window.socket = new WebSocket(`wss://${location.host}/ws`);
            socket.onopen = () => socket.send('hello');
            socket.onmessage = (event) => resolve(event.data);
            socket.onclose = (event) => reject(new Error(`closed with ${event.code}`));
        })",
    );
    assert_eq!(answer, "hello");
}

fn is_connected(page: &Page) -> bool {
    page.eval("window.socket.readyState") == json!(1)
}

/// Milliseconds since 1970, by the browser's clock.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_millis() as u64
}

#[test]
fn who_signs_out_in_the_browser_is_cut_everywhere_and_asked_again() {
    let house = House::start();
    let tool = tool();
    house.session("one", &tool.url(), json!({ "access": "workspace" }));
    let browser = house.browser();
    let ada = house.signed_in(&browser, "ada", &url("one"));
    connected(&ada);
    let bob = house.signed_in(&browser, "bob", &url("one"));
    connected(&bob);

    // At the first replica, while the sessions' connections are at the second.
    let leaving = ada.another();
    leaving.open(&format!("https://{CONNECT_HOST}{LOGOUT}"));
    leaving.wait_for_text("You are signed in as ada");
    let clicked = now();
    leaving.click("button");
    let (_, closed) = ada.closed_socket("/ws");
    let late = closed.at.saturating_sub(clicked);
    println!("sign-out in the browser: the WebSocket closed {late} ms after the click");
    assert_eq!((closed.code, closed.clean), (4403, true));
    assert!(Duration::from_millis(late) <= BOUND, "{late} ms");

    // The platform is told, where it asks the user, and brings them back.
    leaving.wait_for_url(PLATFORM_HOST);
    leaving.wait_for_text("Sign out of the platform?");
    leaving.click("#yes");
    leaving.wait_for_text("You are signed out");
    assert_eq!(leaving.url(), format!("https://{CONNECT_HOST}/_portico/signed-out"));
    let accounts: Vec<_> =
        house.provider.sessions().iter().map(|session| session["accountId"].clone()).collect();
    assert_eq!(accounts, ["bob"]);

    ada.open(&format!("{}/lab", url("one")));
    ada.wait_for("input[name=login]");
    assert!(ada.url().contains(PLATFORM_HOST), "{}", ada.url());
    assert!(is_connected(&bob), "bob stays");
    assert_eq!(bob.open(&format!("{}/lab", url("one"))), 200);
    bob.wait_for_text("this is the tool");
    // Whoever comes back is let in again.
    ada.sign_in("ada");
    connected(&ada);
}

/// A user without a browser who has opened session `one`, and WebSockets at both replicas.
struct User<'h> {
    walker: Walker<'h>,
    sockets: Vec<WebSocket<Client>>,
}

impl<'h> User<'h> {
    fn arrive(house: &'h House, name: &str) -> Self {
        let mut walker = Walker::new(house, name);
        assert_eq!(walker.open(&url("one")).status, 200);
        let host = host("one");
        let cookie = format!("__Host-portico-grant={}", walker.grant(&host).expect("a grant"));
        let open = |replica| {
            let fields = [("Cookie", cookie.as_str())];
            let mut socket = house.client_at(replica, &host).websocket(&host, "/ws", &fields);
            round_trip(&mut socket, "hello");
            socket
        };
        let sockets = vec![open(0), open(1)];
        Self { walker, sockets }
    }

    fn is_connected(&mut self) {
        for socket in &mut self.sockets {
            round_trip(socket, "still here");
        }
    }

    fn is_cut_since(&mut self, begun: Instant, name: &str) {
        for (replica, socket) in self.sockets.iter_mut().enumerate() {
            let message = socket.read().expect("a close frame");
            let Message::Close(Some(CloseFrame { code, .. })) = message else {
                panic!("{message:?}")
            };
            assert_eq!(u16::from(code), 4403, "{name}");
            let took = begun.elapsed();
            println!("{name}: closed at replica {replica} within {} ms", took.as_millis());
            assert!(took <= BOUND, "{name}: {took:?}");
        }
    }
}

#[test]
fn whom_the_platform_logs_out_is_cut_on_both_replicas_and_nobody_else() {
    let house = House::start();
    let tool = tool();
    house.session("one", &tool.url(), json!({ "access": "workspace" }));
    let (mut ada, mut bob) = (User::arrive(&house, "ada"), User::arrive(&house, "bob"));
    let before = ada.walker.grant(&host("one")).expect("a grant").to_owned();

    let begun = Instant::now();
    let told = house.provider.log_out("ada");
    assert!(!told.is_empty() && told.iter().all(|one| one["error"].is_null()), "{told:?}");
    ada.is_cut_since(begun, "back-channel logout");
    bob.is_connected();

    // Neither replica takes the grant any more, which is not over by its time.
    for replica in [0, 1] {
        let host = host("one");
        let request = format!(
            "GET /api HTTP/1.1\r\nHost: {host}\r\nCookie: __Host-portico-grant={before}\r\n\r\n"
        );
        assert_eq!(house.client_at(replica, &host).exchange(request).status, 401, "{replica}");
    }
    let refused = house.metric("portico_grants_refused_total", "reason=\"revoked\"");
    assert_eq!(refused, 2.0);
    assert_eq!((bob.walker.open(&url("one")).status, bob.walker.asked), (200, 1));
    assert_eq!((ada.walker.open(&url("one")).status, ada.walker.asked), (200, 2));
    let again = ada.walker.grant(&host("one")).expect("a grant");
    assert_ne!(again, before);
    let lines = || -> Vec<String> {
        let page = house.api("GET", "/v1/audit?limit=1000", None, 200).json();
        let items = page["items"].as_array().cloned().unwrap_or_default();
        let fits = |item: &&Value| item["action"] == "connections.ended";
        items.iter().filter(fits).map(|item| item["detail"].as_str().unwrap_or("").into()).collect()
    };
    let lines = eventually("both replicas write it down", || {
        let lines = lines();
        (lines.len() >= 2).then_some(lines)
    });
    assert_eq!(lines, ["1 of ada: revoked", "1 of ada: revoked"]);
}

fn back_channel(house: &House, replica: usize, form: &str) -> Response {
    house.client_at(replica, CONNECT_HOST).exchange(format!(
        "POST /_portico/backchannel-logout HTTP/1.1\r\nHost: {CONNECT_HOST}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ))
}

#[test]
fn a_forged_logout_token_is_refused_and_counted_and_ends_nothing() {
    let house = House::start();
    let tool = tool();
    house.session("one", &tool.url(), json!({}));
    let mut ada = User::arrive(&house, "ada");
    let client = &house.provider.registered_clients()[0]["client_id"];
    let at = now() / 1_000;
    let claims = json!({
        "iss": house.provider.issuer(), "aud": client, "sub": "ada", "jti": "1",
        "iat": at, "exp": at + 120,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let part = |json: &Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
    let signed = |head: Value, signature: &[u8]| {
        format!("{}.{}.{}", part(&head), part(&claims), BASE64URL_NOPAD.encode(signature))
    };
    // Everything in it is right but the signature.
    let known = json!({ "alg": "RS256", "typ": "logout+jwt", "kid": "platform-1" });
    let shared = json!({ "alg": "HS256", "typ": "logout+jwt", "kid": "platform-1" });
    let forged = [
        ("another's signature", signed(known, &[1; 256])),
        ("another's key", signed(json!({ "alg": "RS256", "kid": "mine" }), &[1; 256])),
        ("no signature", signed(json!({ "alg": "none" }), b"")),
        ("a shared secret", signed(shared, &[1; 32])),
        ("no token at all", "nonsense".to_owned()),
    ];
    let counted = || house.metric("portico_sign_ins_total", "outcome=\"logout_token_refused\"");
    for (number, (what, token)) in forged.iter().enumerate() {
        let answer = back_channel(&house, number % 2, &format!("logout_token={token}"));
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        assert_eq!(counted(), number as f64 + 1.0, "{what}");
    }
    for form in ["", "logout_token=", "token=x"] {
        assert_eq!(back_channel(&house, 0, form).status, 400, "{form}");
    }
    ada.is_connected();
    assert_eq!((ada.walker.open(&url("one")).status, ada.walker.asked), (200, 1));
}

#[test]
fn another_page_cannot_sign_a_user_out() {
    let house = House::start();
    let tool = tool();
    house.session("one", &tool.url(), json!({}));
    let browser = house.browser();
    let ada = house.signed_in(&browser, "ada", &url("one"));
    connected(&ada);
    // A sibling's cookies are sent with its form: it is of the same site.
    let attack = ada.another();
    attack.open(&url("one"));
    attack.wait_for_text("this is the tool");
    attack.eval(&format!(
        "(() => {{ const form = document.createElement('form'); form.method = 'post'; \
         form.action = 'https://{CONNECT_HOST}{LOGOUT}'; document.body.append(form); \
         form.submit(); }})()"
    ));
    attack.wait_for_url(LOGOUT);
    attack.wait_for_text("Another site cannot do this");

    let mut user = User::arrive(&house, "ada");
    let login = user.walker.cookie_of(CONNECT_HOST, "__Host-portico-login");
    let login = login.expect("a sign-in").to_owned();
    let post = |fields: &str| {
        house.client(CONNECT_HOST).exchange(format!(
            "POST {LOGOUT} HTTP/1.1\r\nHost: {CONNECT_HOST}\r\n\
             Cookie: __Host-portico-login={login}\r\nContent-Length: 0\r\n{fields}\r\n"
        ))
    };
    for fields in [
        format!("Origin: {}\r\n", url("one")),
        format!("Origin: {}\r\nSec-Fetch-Site: same-site\r\n", url("one")),
        format!("Origin: http://{CONNECT_HOST}\r\n"),
        "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n".to_owned(),
        "Origin: null\r\n".to_owned(),
        "Origin: null\r\nSec-Fetch-Site: cross-site\r\n".to_owned(),
        "Sec-Fetch-Site: same-site\r\n".to_owned(),
    ] {
        assert_eq!(post(&fields).status, 403, "{fields}");
    }
    // Nor does looking at the page.
    let shown = user.walker.step("GET", &format!("https://{CONNECT_HOST}{LOGOUT}"), "");
    assert_eq!(shown.status, 200);
    user.is_connected();
    assert!(is_connected(&ada), "{:?}", ada.sockets());
    assert_eq!(house.metric("portico_sign_ins_total", "outcome=\"signed_out\""), 0.0);

    let begun = Instant::now();
    let own = post(&format!("Origin: https://{CONNECT_HOST}\r\nSec-Fetch-Site: same-origin\r\n"));
    assert_eq!(own.status, 303, "{}", own.text());
    user.is_cut_since(begun, "sign-out by Portico's own page");
    assert!(is_connected(&ada), "the sign-in of another browser stays");
}
