//! The platform's webhook: its yes and its no, its silence, and that it is asked again while
//! somebody works.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portico_bench::world::eventually;
use portico_bench::world::upstream::Upstream;
use serde_json::{Value, json};

use crate::house::{House, url};
use crate::walker::Walker;

/// Answers with what stands at `mode`, and counts how often it was asked.
struct Platform {
    upstream: Upstream,
    mode: Arc<AtomicUsize>,
}

const ALLOW: usize = 0;
const DENY: usize = 1;
const FAIL: usize = 2;
const SILENT: usize = 3;

impl Platform {
    fn start() -> Self {
        let mode = Arc::new(AtomicUsize::new(ALLOW));
        let now = mode.clone();
        let upstream = Upstream::scripted(move |connection| {
            while connection.request().is_some() {
                let answer = match now.load(Ordering::SeqCst) {
                    ALLOW => json!({ "allow": true, "ttl_seconds": 4 }),
                    DENY => json!({ "allow": false, "reason": "The course is over." }),
                    FAIL => return connection.send("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
                    _ => {
                        connection.read_to_close();
                        return;
                    }
                };
                connection.answer("application/json", &answer.to_string());
            }
        });
        Self { upstream, mode }
    }

    fn say(&self, mode: usize) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.upstream.requests().len()
    }
}

fn house(platform: &Platform) -> House {
    House::start_with(|options| {
        options
            .set("PORTICO_ACCESS__WEBHOOK_URL", platform.upstream.url())
            .set("PORTICO_ACCESS__WEBHOOK_TOKEN", "webhook-token")
            .set("PORTICO_ACCESS__WEBHOOK_TIMEOUT", "500ms")
    })
}

#[test]
fn the_platform_says_who_may_and_why_not() {
    let platform = Platform::start();
    let house = house(&platform);
    let upstream = Upstream::echo();
    house.session("one", &upstream.url(), json!({ "access": "workspace" }));
    // Of no workspace by the claim: the platform's word makes eve a member.
    let mut eve = Walker::new(&house, "eve");
    assert_eq!(eve.open(&format!("{}/", url("one"))).status, 200);
    let asked = &platform.upstream.requests()[0];
    assert_eq!(asked.message.field("authorization").as_deref(), Some("Bearer webhook-token"));
    let question: Value = asked.message.json();
    let expected = json!({
        "user": "eve", "session": "one", "workspace": "genomics", "owner": "ada",
        "policy": "workspace",
    });
    assert_eq!(question, expected);

    platform.say(DENY);
    let answer = Walker::new(&house, "bob").open(&format!("{}/", url("one")));
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("The course is over."), "{}", answer.text());
    for mode in [FAIL, SILENT] {
        platform.say(mode);
        let answer = Walker::new(&house, "bob").open(&format!("{}/", url("one")));
        assert_eq!(answer.status, 503, "{mode}: {}", answer.text());
        assert!(answer.text().contains("keeps working"), "{}", answer.text());
    }
    // Nothing opens a private session but its policy: the platform is not even asked.
    house.change("one", &json!({ "access": "private" }));
    platform.say(ALLOW);
    let asked = platform.asked();
    assert_eq!(Walker::new(&house, "bob").open(&format!("{}/", url("one"))).status, 403);
    assert_eq!(platform.asked(), asked);
}

#[test]
fn it_is_asked_again_while_somebody_works_and_its_silence_ends_a_grant_in_its_time() {
    let platform = Platform::start();
    let house = house(&platform);
    let upstream = Upstream::echo();
    house.session("one", &upstream.url(), json!({ "access": "workspace" }));
    let mut eve = Walker::new(&house, "eve");
    let page = format!("{}/", url("one"));
    assert_eq!(eve.open(&page).status, 200);
    // Longer than two of its words last: a program's requests, which are never sent to sign in.
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(9) {
        assert_eq!(eve.fetch(&page).status, 200, "after {:?}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(platform.asked() >= 3, "{}", platform.asked());
    assert!(house.metric("portico_rechecks_total", "result=\"allowed\"") >= 2.0);
    platform.say(FAIL);
    let failing = std::time::Instant::now();
    assert_eq!(eve.fetch(&page).status, 200, "what is there is good until its end");
    let ended = || (eve.fetch(&page).status == 401).then(|| failing.elapsed());
    let after = eventually("the grant ends", ended);
    println!("the last word lasted for another {after:?}");
    assert!(after <= Duration::from_secs(5), "{after:?}");
}
