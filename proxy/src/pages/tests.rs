//! The forms of an answer.

use portico_core::domain::LabelText;
use portico_core::http::decide::Answer;
use portico_core::http::refusal::Refusal;

use super::*;

fn written(page: &Page, audience: Audience) -> String {
    let mut out = Vec::new();
    page.write(&mut out, Form { audience, head_only: false, close: false }, "'self'");
    String::from_utf8(out).unwrap()
}

fn unknown() -> Page {
    let label = LabelText::new(b"a1").unwrap();
    Page::of_answer(&Answer::UnknownSession(label), "/", 1).unwrap()
}

#[test]
fn the_form_follows_the_reader() {
    let html = written(&unknown(), Audience::Browser);
    assert!(html.starts_with("HTTP/1.1 404 Not Found\r\nContent-Type: text/html"), "{html}");
    assert!(html.contains("<code>a1</code>") && !html.contains("<script"), "{html}");

    let problem = written(&unknown(), Audience::Program);
    let body = problem.split("\r\n\r\n").nth(1).unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["type"], "/problems/unknown-session");
    assert_eq!((body["status"].as_u64(), body["session"].as_str()), (Some(404), Some("a1")));

    let bare = written(&unknown(), Audience::WebSocket);
    assert!(bare.contains("Content-Length: 0\r\n") && bare.ends_with("\r\n\r\n"), "{bare}");
}

#[test]
fn a_head_tells_the_length_and_leaves_the_body_out() {
    let mut out = Vec::new();
    let form = Form { audience: Audience::Program, head_only: true, close: true };
    unknown().write(&mut out, form, "'self'");
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with("\r\n\r\n") && text.contains("Connection: close\r\n"), "{text}");
    assert!(!text.contains("Content-Length: 0"), "{text}");
}

#[test]
fn the_reader_of_a_refusal_is_judged_by_what_there_is_of_a_head() {
    let large = format!("GET / HTTP/1.1\r\nAccept: text/html\r\nCookie: {}", "a".repeat(99_999));
    let late = format!("GET / HTTP/1.1\r\nCookie: {}\r\nAccept: text/html", "a".repeat(99_999));
    for (head, audience) in [
        ("", Audience::Program),
        ("\r\n\r\n", Audience::Program),
        ("Accept: text/html", Audience::Program),
        ("GET / HTTP/1.1\r\nAccept: text/html,*/*;q=0.8\r\n\r\n", Audience::Browser),
        ("GET / HTTP/1.1\naccept:application/xml, TEXT/HTML;q=0.9\n\n", Audience::Browser),
        ("GET / HTTP/1.1\r\nAccept: text/htm", Audience::Program),
        ("GET / HTTP/1.1\r\nAccept: */*\r\nX: text/html\r\n\r\n", Audience::Program),
        ("GET / HTTP/1.1\r\n\r\nAccept: text/html\r\n", Audience::Program),
        ("GET / HTTP/1.1\r\nUpgrade-Insecure-Requests: 1\r\nAccept: text/html", Audience::Browser),
        ("GET / HTTP/1.1\r\nAccept: text/html\r\nUpgrade: websocket\r\n", Audience::WebSocket),
        (&large, Audience::Browser),
        (&late, Audience::Program),
    ] {
        let shown = &head[..head.len().min(80)];
        let form = Form::of_unread(head.as_bytes());
        let expected = Form { audience, head_only: false, close: true };
        assert_eq!(form, expected, "{shown:?}");
    }
    assert!(Form::of_unread(b"HEAD / HTTP/1.1\r\n").head_only);
}

#[test]
fn an_answer_that_can_have_no_body_has_no_length() {
    let text = written(&Page::of_answer(&Answer::Options, "*", 1).unwrap(), Audience::Program);
    assert!(text.starts_with("HTTP/1.1 204 No Content\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n") && !text.contains("Content-"), "{text}");
}

#[test]
fn a_redirect_keeps_the_query() {
    let page = Page::of_answer(&Answer::AddSlash, "/_studio/a1?x=1", 11).unwrap();
    let text = written(&page, Audience::Browser);
    assert!(text.contains("Location: /_studio/a1/?x=1\r\n"), "{text}");
}

#[test]
fn every_refusal_has_a_phrase_and_words() {
    for refusal in Refusal::ALL {
        let text = written(&Page::of_refusal(refusal), Audience::Program);
        let line = text.lines().next().unwrap();
        assert!(line.split(' ').nth(2).is_some_and(|word| !word.is_empty()), "{line}");
    }
}
