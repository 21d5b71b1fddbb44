//! What must hold after a run, whatever happened in it: both sides saw the messages of the other,
//! whole, in order and nothing else, and what was left out was left out for a reason.

use crate::answers::Answer;
use crate::edge;
use crate::reference::{self, End, Message};
use crate::script::Kind;
use crate::world::World;

/// What was met, to see that a run of many seeds meets everything.
#[derive(Debug, Default)]
pub struct Tally {
    pub answers: usize,
    pub reused: usize,
    pub switched: usize,
    pub refused: usize,
    pub refused_in_body: usize,
    pub bad_gateways: usize,
    pub aborted: usize,
    pub retried: usize,
    pub early: usize,
    pub bare: usize,
    pub excess: usize,
    pub mutated: usize,
}

pub fn check(world: &World<'_>, tally: &mut Tally) {
    let requests = reference::requests(&world.script.bytes);
    assert!(world.edge.end.is_some(), "all has happened, and the client still waits");
    check_upstreams(world, &requests);
    check_client(world, &requests, tally);
    check_refusal(world, &requests, tally);
    tally.retried += world.edge.retries;
    tally.mutated += usize::from(world.script.mutated);
    tally.reused +=
        world.upstreams.iter().map(|u| u.requests.len().saturating_sub(1)).sum::<usize>();
}

/// The upstreams got the requests of the script in order, each once (or once more, after silence),
/// with their own bodies and nothing behind them.
fn check_upstreams(world: &World<'_>, requests: &[Message]) {
    let mut seen = vec![0; world.edge.exchanges];
    let mut switched_at = 0;
    for (upstream, to) in world.upstreams.iter().zip(&world.edge.upstreams) {
        for (index, (exchange, start)) in upstream.requests.iter().enumerate() {
            let end = upstream.requests.get(index + 1).map_or(to.bytes.len(), |next| next.1);
            let received = &to.bytes[*start..end];
            let got = reference::request(received).expect("its head was read before");
            let sent = requests.get(*exchange).expect("only requests are forwarded");
            check_request(&got, sent);
            if !world.script.mutated {
                check_request_fields(&got);
            }
            seen[*exchange] += 1;
            let behind = &received[got.bytes()..];
            if upstream.switched && !behind.is_empty() {
                switched_at = requests[..=*exchange].iter().map(Message::bytes).sum();
                assert_eq!(*exchange + 1, world.edge.exchanges, "a tunnel is the last");
                let opaque = &world.script.bytes[switched_at..];
                assert!(opaque.starts_with(behind), "the tunnel has changed bytes");
                let whole =
                    behind.len() == opaque.len() || world.edge.end != Some(edge::End::Clean);
                assert!(whole, "the tunnel has lost bytes");
            } else {
                assert_eq!(behind, b"", "bytes of nobody were forwarded");
            }
        }
        let unread = upstream.requests.is_empty() && !to.bytes.is_empty();
        assert!(!unread, "what was forwarded is no request: {}", to.bytes.escape_ascii());
    }
    let tries: usize = seen.iter().sum();
    assert!(seen.iter().all(|tries| *tries >= 1), "an exchange without its request");
    assert_eq!(tries, world.edge.exchanges + world.edge.retries);
    for (request, _) in requests.iter().zip(&seen).filter(|(_, tries)| **tries > 1) {
        let safe = [&b"GET"[..], b"HEAD", b"OPTIONS", b"PUT", b"DELETE"].contains(&request.word(0));
        assert!(safe, "{} was sent twice", request.first_line.escape_ascii());
    }
    assert!(switched_at <= world.script.bytes.len());
}

fn check_request(got: &Message, sent: &Message) {
    assert_eq!(got.word(0), sent.word(0), "method");
    assert_eq!(got.word(1), without_origin(sent));
    assert_eq!(got.word(2), b"HTTP/1.1");
    assert_eq!(got.field("x-id"), sent.field("x-id"));
    assert_eq!(got.field("x-forwarded-for"), Some(&b"203.0.113.7"[..]));
    if got.end == End::Complete {
        assert_eq!(got.body, sent.body, "a body has changed");
        assert_eq!(got.content, sent.content, "a content has changed");
        assert_eq!(sent.end, End::Complete);
    } else {
        assert!(sent.body.starts_with(&got.body), "a body has changed");
    }
}

/// An absolute target names what `Host` names, in any case (RFC 9110 §4.2.3); mutations change
/// both.
fn without_origin(sent: &Message) -> &[u8] {
    let target = sent.word(1);
    let origin = [b"http://", sent.field("host").unwrap_or_default()].concat();
    match target.split_at_checked(origin.len()) {
        Some((given, rest)) if given.eq_ignore_ascii_case(&origin) => rest,
        _ => target,
    }
}

fn check_request_fields(got: &Message) {
    for (name, value) in &got.fields {
        let never = ["te", "keep-alive", "x-noise", "proxy-connection"].contains(&name.as_str())
            || name.replace('_', "-").starts_with("x-portico-");
        assert!(!never, "{name} was forwarded");
        assert!(name != "connection" || value == b"Upgrade", "{}", value.escape_ascii());
        assert!(name != "cookie" || !value.windows(7).any(|w| w == b"portico"));
    }
}

/// The client got the answers in order, each as it was given, and a reason where there is none.
fn check_client(world: &World<'_>, requests: &[Message], tally: &mut Tally) {
    let mut rest = &world.edge.to_client[..];
    for (exchange, request) in requests.iter().enumerate().take(world.edge.exchanges) {
        let got = reference::answer(rest, request.word(0));
        let answer = world.given.get(exchange).and_then(Option::as_ref);
        let Some(last) = &got.last else {
            assert!(rest[got.bytes..].is_empty(), "half a head went out");
            assert_eq!(world.edge.end, Some(edge::End::Aborted), "an exchange without an answer");
            assert_ne!(request.end, End::Complete, "only who goes away gets no answer");
            return;
        };
        let is_last = exchange + 1 == world.edge.exchanges;
        if last.field("x-edge").is_some() {
            check_edge_answer(world, exchange, request, last, tally);
            assert!(is_last && got.bytes == rest.len(), "something follows an error");
            return;
        }
        tally.answers += 1;
        let answer = answer.expect("who was not asked cannot have answered");
        check_answer(world, request, &got, answer, tally);
        rest = &rest[got.bytes..];
        if last.status() == 101 {
            tally.switched += 1;
            return check_tunnel(rest, request, answer, world);
        }
        if !last.answer_keeps_open() || says_close(last, request) {
            check_close(world, exchange, request, last, answer, tally);
            assert!(is_last && rest.is_empty(), "something follows a `close`");
            return;
        }
    }
    // Nothing is owed: what follows can only be the refusal of a request that went nowhere.
    if let Some(edge::End::Refused(_)) = world.edge.end {
        let refusal = reference::answer(rest, b"GET");
        assert!(refusal.last.is_some_and(|last| last.field("x-edge").is_some()));
        assert_eq!(refusal.bytes, rest.len());
    } else {
        assert_eq!(rest, b"", "an answer to no request");
        assert_eq!(world.edge.end, Some(edge::End::Clean));
        let whole = requests.iter().filter(|request| request.end == End::Complete).count();
        assert!(world.edge.exchanges >= whole, "a request was not answered");
    }
}

fn says_close(last: &Message, request: &Message) -> bool {
    last.lists("connection", "close")
        || (request.is_http_1_0() && !last.lists("connection", "keep-alive"))
}

fn check_answer(
    world: &World<'_>,
    request: &Message,
    got: &reference::Answer,
    answer: &Answer,
    tally: &mut Tally,
) {
    let want = reference::answer(&answer.bytes, request.word(0));
    let (Some(last), Some(original)) = (&got.last, &want.last) else {
        panic!("an answer was made of {}", answer.bytes.escape_ascii());
    };
    let interim: Vec<_> = want.interim.iter().map(Message::status).collect();
    let interim = if request.is_http_1_0() { Vec::new() } else { interim };
    assert_eq!(got.interim.iter().map(Message::status).collect::<Vec<_>>(), interim);
    assert_eq!(last.word(1), original.word(1), "status");
    assert_eq!(last.field("x-answer"), original.field("x-answer"), "another's answer");
    assert_eq!(last.word(0), b"HTTP/1.1");
    for (name, _) in &last.fields {
        let never = ["keep-alive", "x-portico-user", "set-cookie"].contains(&name.as_str());
        assert!(!never || answer.mutated, "{name} passed");
    }
    if last.status() / 100 == 1 || last.status() == 204 {
        assert_eq!(last.field("content-length"), None, "a length without content");
    }
    if last.status() == 101 {
        return;
    }
    let bare = request.is_http_1_0() && original.lists("transfer-encoding", "chunked");
    tally.bare += usize::from(bare);
    tally.excess += usize::from(want.bytes < answer.bytes.len());
    assert!(!(bare && last.lists("transfer-encoding", "chunked")), "HTTP/1.0 reads no chunks");
    let (sent, received) = match bare {
        true => (&original.content, &last.content),
        false => (&original.body, &last.body),
    };
    let whole = matches!(original.end, End::Complete | End::UntilClose);
    if world.edge.end == Some(edge::End::Aborted) && received.len() < sent.len() {
        assert!(sent.starts_with(received), "an answer has changed");
        tally.aborted += 1;
    } else if whole {
        assert_eq!(received, sent, "an answer has changed");
    } else {
        assert!(sent.starts_with(received), "an answer has changed");
        assert_eq!(world.edge.end, Some(edge::End::Aborted), "half an answer ended well");
        tally.aborted += 1;
    }
}

fn check_tunnel(rest: &[u8], request: &Message, answer: &Answer, world: &World<'_>) {
    let want = reference::answer(&answer.bytes, request.word(0));
    assert_eq!(rest, &answer.bytes[want.bytes..], "the tunnel has changed bytes");
    assert_eq!(world.edge.end, Some(edge::End::Clean));
    let before: usize = world.script.bytes.len();
    let carried = world.upstreams.iter().zip(&world.edge.upstreams).find(|(u, _)| u.switched);
    let (upstream, to) = carried.expect("somebody has switched");
    let start = upstream.requests.last().map_or(0, |request| request.1);
    let head = reference::request(&to.bytes[start..]).map_or(0, |head| head.bytes());
    let requests = reference::requests(&world.script.bytes);
    let at: usize = requests[..world.edge.exchanges].iter().map(Message::bytes).sum();
    assert_eq!(&to.bytes[start + head..], &world.script.bytes[at..before], "bytes were lost");
}

/// An error of the edge's own has its cause in what one of the sides did.
fn check_edge_answer(
    world: &World<'_>,
    exchange: usize,
    request: &Message,
    last: &Message,
    tally: &mut Tally,
) {
    match world.edge.end {
        Some(edge::End::BadGateway(_)) => {
            assert_eq!(last.status(), 502);
            tally.bad_gateways += 1;
            let answer = world.given.get(exchange).and_then(Option::as_ref);
            let faulty = answer.is_none_or(|answer| {
                let parsed = reference::answer(&answer.bytes, request.word(0));
                let end = parsed.last.map_or(End::Incomplete, |last| last.end);
                let whole = matches!(end, End::Complete | End::UntilClose);
                answer.bad || answer.mutated || !whole
            });
            let excused = faulty || world.stale.contains(&exchange) || world.script.mutated;
            assert!(excused, "a good answer was refused: {:?}", world.edge.end);
        }
        Some(edge::End::Refused(refusal)) => {
            assert_eq!(last.status(), refusal.status());
            tally.refused_in_body += 1;
            let kind = world.script.requests.get(exchange).map(|made| made.kind);
            assert!(world.script.mutated || kind == Some(Kind::BadBody), "{refusal:?}");
        }
        other => panic!("an answer of the edge, and {other:?}"),
    }
}

/// A connection is closed behind an answer for a reason that the messages show.
fn check_close(
    world: &World<'_>,
    exchange: usize,
    request: &Message,
    last: &Message,
    answer: &Answer,
    tally: &mut Tally,
) {
    let early = !request.body.is_empty() && answer.begins != crate::answers::Begins::WhenComplete;
    tally.early += usize::from(early);
    let upgrade = request.field("upgrade").is_some() && request.lists("connection", "upgrade");
    let asked = request.lists("connection", "close")
        || (request.is_http_1_0() && !request.lists("connection", "keep-alive"));
    let endless = last.end == End::UntilClose;
    let aborted = world.edge.end == Some(edge::End::Aborted);
    let incomplete = request.end != End::Complete;
    let known = early || upgrade || asked || endless || aborted || incomplete;
    assert!(known || world.was_drained(), "closed for no reason behind {exchange}");
}

/// Behind what was refused nothing goes on, and what must be refused is.
fn check_refusal(world: &World<'_>, requests: &[Message], tally: &mut Tally) {
    tally.refused += usize::from(matches!(world.edge.end, Some(edge::End::Refused(_))));
    if world.script.mutated {
        return;
    }
    let first = |kind| world.script.requests.iter().position(|made| made.kind == kind);
    if let Some(index) = first(Kind::BadHead) {
        assert!(world.edge.exchanges <= index, "request {index} is bad, and went on");
    }
    if let Some(index) = first(Kind::Upgrade) {
        assert!(world.edge.exchanges <= index + 1, "a request was read from another protocol");
    }
    if let Some(index) = first(Kind::BadBody) {
        assert!(world.edge.exchanges <= index + 1, "request {index} is bad, and another followed");
    }
    assert!(world.edge.exchanges <= requests.len());
}
