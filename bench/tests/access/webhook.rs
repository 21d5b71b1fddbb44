//! The platform's own word on who may open a session: asked for each new grant, kept for as long as
//! it holds, and asked again while the grant is used. The platform is a small server of the test.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portico_bench::world::client::Response;
use portico_bench::world::eventually;
use portico_bench::world::upstream::Upstream;
use portico_core::access::{Grant, LoginId, LoginProof};
use serde_json::{Value, json};

use crate::grants::{MINUTE, back, key, now};
use crate::house::{House, host, url};
use crate::walker::Walker;

const TIMEOUT: Duration = Duration::from_millis(500);
const TOKEN: &str = "webhook-token-0123456789";

/// What the platform answers to every question.
#[derive(Clone)]
enum Word {
    Allow {
        ttl: u64,
    },
    Deny {
        reason: Value,
    },
    Status(u16),
    Malformed,
    /// Later than anybody waits.
    Silence,
}

struct Platform {
    server: Upstream,
    word: Arc<Mutex<Word>>,
}

impl Platform {
    fn start(word: Word) -> Self {
        let word = Arc::new(Mutex::new(word));
        let said = word.clone();
        let server = Upstream::scripted(move |connection| {
            while connection.request().is_some() {
                let word = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let answer = match word {
                    Word::Allow { ttl } => json!({ "allow": true, "ttl_seconds": ttl }),
                    Word::Deny { reason } => json!({ "allow": false, "reason": reason }),
                    Word::Status(status) => {
                        let head = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
                        connection.send(head);
                        continue;
                    }
                    Word::Malformed => json!("yes"),
                    Word::Silence => {
                        connection.read_to_close();
                        return;
                    }
                };
                connection.answer("application/json", &answer.to_string());
            }
        });
        Self { server, word }
    }

    fn says(&self, word: Word) {
        *self.word.lock().unwrap_or_else(PoisonError::into_inner) = word;
    }

    fn asked(&self) -> usize {
        self.server.requests().len()
    }

    fn house(&self) -> House {
        let url = format!("{}/api/authorize", self.server.url());
        House::start_with(move |options| {
            options
                .set("PORTICO_ACCESS__WEBHOOK_URL", url.clone())
                .set("PORTICO_ACCESS__WEBHOOK_TOKEN", TOKEN)
                .set("PORTICO_ACCESS__WEBHOOK_TIMEOUT", format!("{}ms", TIMEOUT.as_millis()))
        })
    }
}

fn tool() -> Upstream {
    Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntool")
}

/// A request of a script that sends this grant, which is answered and never led to a sign-in.
fn with_grant(house: &House, replica: usize, grant: &str) -> Response {
    let host = host("one");
    let cookie = format!("Cookie: __Host-portico-grant={grant}\r\n");
    let request = format!("GET /api HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n");
    house.client_at(replica, &host).exchange(request)
}

/// The grant of a user who has just opened the session.
fn grant(walker: &mut Walker<'_>) -> String {
    let response = walker.open(&url("one"));
    assert_eq!(response.status, 200, "{}", response.text());
    walker.grant(&host("one")).expect("a grant").to_owned()
}

#[test]
fn the_platform_is_asked_with_its_token_and_its_yes_makes_a_member() {
    let platform = Platform::start(Word::Allow { ttl: 60 });
    let house = platform.house();
    let tool = tool();
    house.session("one", &tool.url(), json!({ "access": "workspace" }));
    // The claims of her sign-in name no workspace.
    let mut eve = Walker::new(&house, "eve");
    let handed = eve.open(&url("one"));
    assert_eq!((handed.status, handed.text().as_str()), (200, "tool"));
    let asked = platform.server.requests();
    assert_eq!(asked.len(), 1, "once for one grant");
    assert_eq!((asked[0].method.as_str(), asked[0].target.as_str()), ("POST", "/api/authorize"));
    assert_eq!(asked[0].field("authorization"), Some(format!("Bearer {TOKEN}")));
    let question = json!({
        "user": "eve", "session": "one", "workspace": "genomics", "owner": "ada",
        "policy": "workspace",
    });
    assert_eq!(asked[0].json(), question);
    // Its word is not asked for again while it is new.
    for _ in 0..5 {
        assert_eq!(eve.open(&url("one")).status, 200);
    }
    assert_eq!(platform.asked(), 1);

    // Nothing makes an owner: what the policy lets nobody else do is not even asked.
    house.change("one", &json!({ "access": "private" }));
    let refused = eventually("the new policy holds", || {
        let response = Walker::new(&house, "bob").open(&url("one"));
        (response.status == 403).then_some(response)
    });
    assert!(refused.text().contains("only its owner ada"), "{}", refused.text());
    let private = |asked: &portico_bench::world::upstream::Request| {
        asked.json()["policy"] == "private" && asked.json()["user"] != "ada"
    };
    assert!(!platform.server.requests().iter().any(private));
    // The owner is asked about as everybody else: the platform may shut out anyone.
    let before = platform.asked();
    platform.says(Word::Deny { reason: json!("Your account is locked.") });
    let owner = Walker::new(&house, "ada").open(&url("one"));
    assert_eq!((owner.status, platform.asked()), (403, before + 1));
    assert!(owner.text().contains("Your account is locked."), "{}", owner.text());
}

#[test]
fn a_no_is_shown_with_the_platforms_reason_as_text() {
    let reason = "Your project <b>ended</b> in May.\u{7}\nAsk for more & wait.";
    let platform = Platform::start(Word::Deny { reason: json!(reason) });
    let house = platform.house();
    let tool = tool();
    house.session("one", &tool.url(), json!({ "access": "workspace" }));
    let mut bob = Walker::new(&house, "bob");
    let response = bob.open(&url("one"));
    assert_eq!(response.status, 403);
    let page = response.text();
    assert!(page.contains("This session is not open to you"), "{page}");
    assert!(page.contains("Your project &lt;b&gt;ended&lt;/b&gt; in May."), "{page}");
    assert!(!page.contains("<b>") && !page.contains('\u{7}'), "{page}");
    assert!(bob.grant(&host("one")).is_none());
    assert!(tool.requests().iter().all(|request| !request.fields.iter().any(sub)), "not let in");
    // Without a reason it is the policy's own sentence.
    platform.says(Word::Deny { reason: Value::Null });
    let page = bob.open(&url("one")).text();
    assert!(page.contains("for the members of the workspace genomics"), "{page}");
    assert!(house.metric("portico_sign_ins_total", "outcome=\"denied\"") >= 2.0);
    // His sign-in is good: he is let in as soon as the platform says so.
    platform.says(Word::Allow { ttl: 60 });
    assert_eq!((bob.open(&url("one")).status, bob.asked), (200, 1));
}

/// The tool is told who somebody is only once they were let in.
fn sub((name, _): &(String, String)) -> bool {
    name.eq_ignore_ascii_case("x-connect-sub")
}

#[test]
fn while_the_platform_gives_no_answer_new_users_wait_and_others_work_until_their_end() {
    let platform = Platform::start(Word::Allow { ttl: 8 });
    let house = platform.house();
    let tool = tool();
    house.session("one", &tool.url(), json!({ "access": "workspace" }));
    let begun = Instant::now();
    let known = grant(&mut Walker::new(&house, "bob"));
    for (what, word) in [
        ("500", Word::Status(500)),
        ("403 is no word, either", Word::Status(403)),
        ("not JSON of an answer", Word::Malformed),
        ("silence", Word::Silence),
    ] {
        platform.says(word);
        let asked_at = Instant::now();
        let response = Walker::new(&house, "ada").open(&url("one"));
        let took = asked_at.elapsed();
        assert_eq!(response.status, 503, "{what}: {}", response.text());
        let page = response.text();
        assert!(page.contains("What you have open keeps working"), "{what}: {page}");
        println!("{what}: told after {} ms, with the sign-in", took.as_millis());
        assert!(took <= TIMEOUT + Duration::from_millis(1_500), "{what}: {took:?}");
        if begun.elapsed() < Duration::from_secs(7) {
            for replica in [0, 1] {
                assert_eq!(with_grant(&house, replica, &known).status, 200, "{what}");
            }
        }
    }
    // And ends when it ends, not later.
    eventually("the grant ends", || (with_grant(&house, 1, &known).status == 401).then_some(()));
    let ended = begun.elapsed();
    println!("a grant of 8 s ended {} ms after the sign-in began", ended.as_millis());
    assert!(ended >= Duration::from_secs(8) && ended <= Duration::from_secs(10), "{ended:?}");
    assert!(house.metric("portico_grants_refused_total", "reason=\"expired\"") >= 1.0);
    platform.says(Word::Allow { ttl: 60 });
    assert_eq!(Walker::new(&house, "ada").open(&url("one")).status, 200);
}

#[test]
fn a_grant_that_is_used_lasts_as_long_as_the_platform_says_yes() {
    let platform = Platform::start(Word::Allow { ttl: 4 });
    let house = platform.house();
    let tool = tool();
    house.session("one", &tool.url(), json!({ "access": "workspace" }));
    let mut bob = Walker::new(&house, "bob");
    let first = grant(&mut bob);
    // Three times as long as the first word holds, and never led elsewhere.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(13) {
        // As a script does, which is never led to a sign-in.
        let response = bob.fetch(&url("one"));
        assert_eq!(response.status, 200, "after {:?}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(200));
    }
    let asked = platform.asked();
    println!("a word of 4 s was asked for {asked} times in 13 s, at a request each 200 ms");
    assert!((4..=14).contains(&asked), "asked {asked} times");
    assert!(house.metric("portico_rechecks_total", "result=\"allowed\"") >= 3.0);
    assert_eq!(bob.asked, 1);
    assert_eq!(with_grant(&house, 1, &first).status, 401, "the first one is over");

    for (word, result) in
        [(Word::Status(500), "failed"), (Word::Deny { reason: Value::Null }, "denied")]
    {
        // Used all the time, and with no yes it ends.
        platform.says(Word::Allow { ttl: 4 });
        assert_eq!(bob.open(&url("one")).status, 200);
        platform.says(word);
        let begun = Instant::now();
        let ended = eventually("the grant ends", || {
            let response = bob.fetch(&url("one"));
            assert!(matches!(response.status, 200 | 401), "{}", response.first_line);
            std::thread::sleep(Duration::from_millis(50));
            (response.status == 401).then(|| begun.elapsed())
        });
        println!("{result}: the grant of 4 s ended after {} ms more", ended.as_millis());
        assert!(ended <= Duration::from_millis(4_500), "{result}: {ended:?}");
        let labels = format!("result=\"{result}\"");
        assert!(house.metric("portico_rechecks_total", &labels) >= 1.0, "{result}");
    }
}

/// Its word cannot last beyond the sign-in, and may become shorter: a grant that gains nothing by
/// another yes is no reason to ask at every request.
#[test]
fn the_platform_is_not_asked_at_every_request_for_what_it_cannot_give() {
    let platform = Platform::start(Word::Allow { ttl: 60 });
    let house = platform.house();
    let tool = tool();
    house.session("one", &tool.url(), json!({ "access": "workspace" }));
    let key = key(&house);
    let day = 12 * 60 * MINUTE;
    for (what, login_at, until) in [
        // The default of access.login_lifetime is nearly over.
        ("the sign-in ends", back(now(), day - MINUTE), now().plus(MINUTE)),
        ("the platform is shorter than before", back(now(), MINUTE), now().plus(20 * MINUTE)),
    ] {
        let id = LoginId([what.len() as u8; 16]);
        let grant = Grant {
            login: LoginProof { id, at: login_at },
            issued_at: back(now(), 30 * MINUTE),
            expires_at: until,
            until,
            recheck: true,
            ..crate::grants::grant(&house, "one")
        };
        let (token, before) = (grant.token(&key), platform.asked());
        for _ in 0..30 {
            assert_eq!(with_grant(&house, 1, &token).status, 200, "{what}");
            std::thread::sleep(Duration::from_millis(50));
        }
        let asked = platform.asked() - before;
        println!("{what}: asked {asked} times for 30 requests");
        assert!((1..=2).contains(&asked), "{what}: {asked}");
    }
}
