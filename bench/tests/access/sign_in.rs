//! Signing in at the platform, and what a signed-in user can open.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use portico_bench::world::browser::{Page, Socket};
use portico_bench::world::oidc::PLATFORM_HOST;
use portico_bench::world::tool::Tool;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::{CONNECT_HOST, TOOL_PATIENCE, eventually};
use serde_json::json;

use crate::house::{House, host, url};
use crate::walker::Walker;

/// Opens a notebook from the launcher and runs a cell, as a scientist does.
fn compute(page: &Page, code: &str, expected: &str) {
    page.click(".jp-LauncherCard[data-category=Notebook]");
    page.wait_for(".jp-Notebook .cm-content");
    page.click(".jp-Notebook .cm-content");
    page.type_text(code);
    // A cell that is run before the kernel is there is lost.
    page.wait_for("text=/ipykernel\\) \\| Idle/");
    page.press("Shift+Enter");
    page.wait_for(&format!(".jp-OutputArea-output:has-text('{expected}')"));
}

fn picture(page: &Page, name: &str) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    page.screenshot(&directory.join(format!("{name}.png")));
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

#[test]
fn users_sign_in_at_the_platform_and_compute_and_who_is_removed_is_cut_within_a_second() {
    let house = House::start();
    let (jupyter, by_path) = (Tool::jupyter("/"), Tool::jupyter("/_studio/lab2/"));
    house.session("lab1", &jupyter.url(), json!({ "routing": ["subdomain"] }));
    house.session("lab2", &by_path.url(), json!({ "routing": ["path"] }));
    let browser = house.browser();

    let ada = house.signed_in(&browser, "ada", &format!("{}/lab", url("lab1")));
    let ada = ada.patient(TOOL_PATIENCE);
    ada.wait_for_url("lab1.connect.example.com/lab");
    compute(&ada, "6*7", "42");
    picture(&ada, "ada-by-subdomain");
    // The same sign-in opens the other session, by path, without a question.
    let other = ada.another().patient(TOOL_PATIENCE);
    other.open(&format!("https://{CONNECT_HOST}/_studio/lab2/lab"));
    compute(&other, "9*9", "81");
    picture(&other, "ada-by-path");

    let bob = house.signed_in(&browser, "bob", &format!("{}/lab", url("lab1")));
    let bob = bob.patient(TOOL_PATIENCE);
    bob.wait_for_text("This session is not open to you");
    assert!(bob.text().contains("only its owner ada can open it"), "{}", bob.text());
    picture(&bob, "bob-refused");
    house.change("lab1", &json!({ "access": "users", "allowed_users": ["bob"] }));
    // In a workspace of his own, without the notebooks that ada has open.
    bob.open(&format!("{}/lab/workspaces/bob", url("lab1")));
    compute(&bob, "5*5", "25");

    eventually("both are told to be connected", || {
        let told = house.api("GET", "/v1/sessions/lab1/connections", None, 200).json();
        let items = told["items"].as_array().cloned().unwrap_or_default();
        let users: Vec<_> = items.iter().filter_map(|item| item["user"].as_str()).collect();
        (users == ["ada", "bob"]).then_some(())
    });

    house.change("lab1", &json!({ "allowed_users": [] }));
    let removed = now();
    // The one that was open: the page tries again, and is refused.
    let closed = eventually("the kernel's WebSocket is closed", || {
        let kernels = |socket: &Socket| socket.url.contains("/api/kernels/");
        let was_open = |socket: &Socket| socket.opened_at.is_some() && kernels(socket);
        bob.sockets().into_iter().find(was_open)?.closed
    });
    assert_eq!((closed.code, closed.clean), (4403, true));
    let late = closed.at.saturating_sub(removed);
    println!("the kernel's WebSocket closed {late} ms after the answer to the change");
    assert!(late <= 1_000, "{late} ms");
    let closed_for_ada =
        ada.sockets().iter().any(|socket| socket.closed.is_some_and(|c| c.code == 4403));
    assert!(!closed_for_ada, "the owner stays");
}

#[test]
fn a_session_that_starts_says_so_after_the_sign_in_and_never_before() {
    let house = House::start();
    house.session("slow", "http://127.0.0.1:9", json!({ "state": "starting" }));
    let mut stranger = Walker::new(&house, "eve");
    let response = stranger.open(&format!("{}/", url("slow")));
    assert_eq!(response.status, 403, "{}", response.text());
    assert!(!response.text().contains("starting"), "{}", response.text());
    let mut ada = Walker::new(&house, "ada");
    let response = ada.open(&format!("{}/", url("slow")));
    assert_eq!(response.status, 503);
    assert!(response.text().contains("The session is starting"), "{}", response.text());
    let program = house.client(&host("slow")).get(&host("slow"), "/api");
    assert_eq!(program.status, 401, "a program is told nothing but that");
}

#[test]
fn a_sign_in_is_renewed_unseen_with_the_token_that_the_platform_gave_for_it() {
    let house = House::start_with(|options| {
        options.set("PORTICO_ACCESS__SCOPES", "openid,profile,offline_access")
    });
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntool");
    house.session("one", &upstream.url(), json!({}));
    let mut ada = Walker::new(&house, "ada");
    assert_eq!(ada.open(&format!("{}/", url("one"))).status, 200);
    assert!(ada.has("__Host-portico-refresh"), "the platform gives a token for later");
    for turn in 0..2 {
        // As if its time were over, and the platform had forgotten who sat at that browser.
        ada.drop("__Host-portico-login");
        ada.forget(&host("one"));
        ada.forget(PLATFORM_HOST);
        assert_eq!(ada.open(&format!("{}/", url("one"))).status, 200, "{turn}");
    }
    assert_eq!(ada.asked, 1, "only the first time");
    assert_eq!(house.metric("portico_sign_ins_total", "outcome=\"refreshed\""), 2.0);
}
