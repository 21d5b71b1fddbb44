//! What nobody who is signed in should notice: new keys, new processes, a platform that is away.

use std::time::Duration;

use portico_bench::world::upstream::Upstream;
use portico_bench::world::{CONNECT_HOST, eventually};
use portico_core::limits::OIDC_PRESENCE_TTL;
use serde_json::json;

use crate::house::{House, host, url};
use crate::walker::Walker;

const USERS: usize = 200;

#[test]
fn keys_are_exchanged_and_replicas_restarted_under_200_users_and_nobody_is_asked_again() {
    let mut house = House::start();
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntool");
    let names: Vec<_> = (0..USERS).map(|number| format!("user-{number}")).collect();
    house.session("team", &upstream.url(), json!({ "access": "users", "allowed_users": [] }));
    // A session names at most 100 users, so there are two.
    house.session("more", &upstream.url(), json!({ "access": "users", "allowed_users": [] }));
    house.change("team", &json!({ "allowed_users": names[..100] }));
    house.change("more", &json!({ "allowed_users": names[100..] }));
    let session = |number: usize| if number < 100 { "team" } else { "more" };

    let mut jars = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let mut walker = Walker::new(&house, name);
        let response = walker.open(&format!("{}/", url(session(number))));
        assert_eq!((response.status, response.text().as_str()), (200, "tool"), "{name}");
        assert_eq!(walker.asked, 1, "{name}");
        jars.push(walker.into_cookies());
    }

    for key in 0..3 {
        let made = house.api("POST", "/v1/access/keys", None, 201).json();
        println!("key {key}: {made}");
    }
    house.restart_proxies();
    // The newest key signs from ten seconds after it was made.
    let keys = house.api("GET", "/v1/access/keys", None, 200).json();
    assert_eq!(keys["items"].as_array().map(Vec::len), Some(4), "{keys}");
    eventually("the newest key signs", || {
        let mut walker = Walker::new(&house, "user-1");
        walker.open(&format!("{}/", url("team")));
        (walker.key_of_grant(&host("team")) == Some(4)).then_some(())
    });
    let mut asked = 0;
    for (number, cookies) in jars.into_iter().enumerate() {
        let mut walker = Walker::with_cookies(&house, &names[number], cookies);
        let response = walker.open(&format!("{}/again", url(session(number))));
        assert_eq!((response.status, response.text().as_str()), (200, "tool"), "{number}");
        // And without the grant: the sign-in at the connect host gives another one.
        walker.forget(&host(session(number)));
        let response = walker.open(&format!("{}/more", url(session(number))));
        assert_eq!(response.status, 200, "{number}");
        asked += walker.asked;
    }
    assert_eq!(asked, 0, "nobody is asked again");
}

#[test]
fn while_the_platform_is_down_grants_work_and_new_sign_ins_are_told() {
    let house = House::start();
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntool");
    house.session("one", &upstream.url(), json!({ "access": "workspace" }));
    house.session("two", &upstream.url(), json!({}));
    let mut ada = Walker::new(&house, "ada");
    assert_eq!(ada.open(&format!("{}/", url("one"))).status, 200);
    let mut bob = Walker::new(&house, "bob");
    assert_eq!(bob.open(&format!("{}/", url("one"))).status, 200, "a member of the workspace");

    house.provider.down();
    assert_eq!(bob.open(&format!("{}/lab", url("one"))).status, 200, "a grant works");
    // Also for another session: who is signed in is known here.
    assert_eq!(ada.open(&format!("{}/", url("two"))).status, 200);
    let mut eve = Walker::new(&house, "eve");
    // Within seconds of the last sign-in the platform is still taken to be there.
    std::thread::sleep(OIDC_PRESENCE_TTL);
    let response = eve.open(&format!("{}/", url("one")));
    assert_eq!(response.status, 503, "{}", response.first_line);
    assert!(response.text().contains("keep working"), "{}", response.text());
    assert_eq!(bob.open(&format!("{}/lab", url("one"))).status, 200);

    house.provider.up();
    let response = eventually("sign-ins work again", || {
        let mut late = Walker::new(&house, "ada");
        let response = late.open(&format!("https://{CONNECT_HOST}/_studio/two/"));
        std::thread::sleep(Duration::from_millis(200));
        (response.status == 200).then_some(response)
    });
    assert_eq!(response.text(), "tool");
}
