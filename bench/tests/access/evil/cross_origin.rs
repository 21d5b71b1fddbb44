//! Requests from eve's page, in ada's browser and so with ada's cookies, to ada's sessions: all are
//! same-site, and none may arrive.

use super::*;

#[test]
fn a_page_reaches_no_siblings_socket() {
    let all = Neighbours::start();
    let browser = all.house.browser();
    let page = all.ada_at_eves(&browser);
    let before = all.ada.requests().len();
    let connect = CONNECT_HOST;
    for target in [
        format!("wss://{}/socket", host("ada")),
        format!("wss://{}./socket", host("ada")),
        format!("wss://{connect}/_studio/ada/socket"),
        format!("wss://{connect}/_studio/eve/../ada/socket"),
    ] {
        let opened = page.eval(&format!(
            "new Promise(done => {{ const s = new WebSocket('{target}'); \
             s.onopen = () => done('opened'); s.onerror = () => done('refused'); }})"
        ));
        assert_eq!(opened, "refused", "{target}");
    }
    // From a frame without an origin of its own.
    page.eval(&format!(
        "(() => {{ const f = document.createElement('iframe'); f.sandbox = 'allow-scripts'; \
         f.srcdoc = `<script>new WebSocket('wss://{}/null');fetch('{}/null',{{mode:'no-cors',\
         credentials:'include'}})</script>`; document.body.append(f); }})()",
        host("ada"),
        url("ada")
    ));
    settle();
    assert_eq!(all.ada.requests().len(), before);

    // The same at a raw socket, in every way to say where one comes from.
    let grant = cookie(&page, "__Host-portico-grant", &host("ada"));
    let upgrade = format!(
        "Cookie: __Host-portico-grant={grant}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    let ada = host("ada");
    for origin in [
        url("eve"),
        "null".into(),
        String::new(),
        "*".into(),
        format!("https://{CONNECT_HOST}"),
        format!("https://{ada}.evil.example"),
        format!("https://{ada}:444"),
        format!("https://evil.example/{ada}"),
        format!("https://evil.example#https://{ada}"),
        format!("https://{ada}@evil.example"),
        format!("wss://{ada}"),
        format!("http://{ada}"),
        format!("https://{ada}, https://{}", host("eve")),
        format!("https://{ada}\r\nOrigin: {}", url("eve")),
    ] {
        let answer = get(&all.house, &ada, "/s", &format!("{upgrade}Origin: {origin}\r\n"));
        assert_eq!(answer.status, 403, "{origin}: {}", answer.first_line);
    }
    for sign in ["Sec-Fetch-Site: same-site\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        let navigates = "Sec-Fetch-Mode: navigate\r\n";
        for more in ["Sec-Fetch-Mode: websocket\r\n", navigates, ""] {
            let answer = get(&all.house, &ada, "/s", &format!("{upgrade}{sign}{more}"));
            assert_eq!(answer.status, 403, "{sign}{more}");
        }
    }
    assert_eq!(all.ada.requests().len(), before);
    // Her own page's socket gets there.
    let own = format!("{upgrade}Origin: {}\r\n", url("ada"));
    assert_eq!(get(&all.house, &ada, "/s", &own).status, 101);
}

#[test]
fn a_page_sends_a_sibling_nothing_but_navigations() {
    let all = Neighbours::start();
    let browser = all.house.browser();
    let page = all.ada_at_eves(&browser);
    let before = all.ada.requests().len();
    for base in [url("ada"), by_path("ada").trim_end_matches('/').to_owned()] {
        for options in [
            "{}",
            "{ credentials: 'include' }",
            "{ credentials: 'include', mode: 'no-cors' }",
            "{ credentials: 'include', method: 'POST', mode: 'no-cors', body: 'x' }",
            "{ credentials: 'include', method: 'POST', body: '{}', \
              headers: { 'Content-Type': 'application/json' } }",
            "{ credentials: 'include', method: 'DELETE' }",
            "{ credentials: 'include', headers: { 'X-Portico-Grant': 'x' } }",
            "{ credentials: 'include', mode: 'no-cors', method: 'HEAD' }",
        ] {
            let read = page.eval(&format!(
                "fetch('{base}/fetch', {options}).then(r => r.text()).catch(() => '')"
            ));
            assert_eq!(read, "", "{base} {options}");
        }
        page.eval(&format!("void navigator.sendBeacon('{base}/beacon', 'x')"));
        page.eval(&format!(
            "(() => {{
                const add = (name, key) => {{
                    const element = document.createElement(name);
                    element[key] = '{base}/' + name;
                    if (name === 'link') element.rel = 'stylesheet';
                    document.body.append(element);
                }};
                for (const name of ['script', 'img', 'video', 'audio']) add(name, 'src');
                add('link', 'href');
                new EventSource('{base}/events', {{ withCredentials: true }});
                try {{ new Worker('{base}/worker') }} catch {{}}
                const frame = document.createElement('iframe');
                frame.name = 'target';
                document.body.append(frame);
                for (const kind of ['text/plain', 'multipart/form-data']) {{
                    const form = document.createElement('form');
                    Object.assign(form, {{ method: 'post', action: '{base}/form',
                        enctype: kind, target: 'target' }});
                    document.body.append(form);
                    form.submit();
                }}
            }})()"
        ));
    }
    settle();
    let got = all.ada.requests()[before..].to_vec();
    assert!(got.is_empty(), "{got:?}");
    // A form that takes the whole page along.
    page.eval(&format!(
        "(() => {{ const form = document.createElement('form'); form.method = 'post'; \
         form.action = '{}/form'; document.body.append(form); form.submit(); }})()",
        url("ada")
    ));
    page.wait_for_url("ada.connect");
    assert_eq!(all.ada.requests().len(), before);
    // A link is no attack.
    page.open(&url("eve"));
    page.eval(&format!("void (location.href = '{}/link')", url("ada")));
    page.wait_for_text("this is ada's");
    assert!(all.ada.requests()[before..].iter().any(|r| r.target == "/link"));
}

/// What a browser says of itself cannot be had by asking in another form.
#[test]
fn no_form_of_a_request_goes_around_the_origin() {
    let all = Neighbours::start();
    let browser = all.house.browser();
    let page = all.ada_at_eves(&browser);
    let grant = cookie(&page, "__Host-portico-grant", &host("ada"));
    let (before, ada) = (all.ada.requests().len(), host("ada"));
    let foreign = format!("Cookie: __Host-portico-grant={grant}\r\nOrigin: {}\r\n", url("eve"));
    for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        for target in ["/".to_owned(), format!("https://{ada}/"), format!("HTTPS://{ada}:443/")] {
            let answer = send(&all.house, &ada, &format!("{method} {target}"), &foreign);
            assert!(answer.status >= 400, "{method} {target}: {}", answer.first_line);
            assert_eq!(answer.field("access-control-allow-origin"), None);
        }
    }
    let asks = "Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: x\r\n";
    let answer = send(&all.house, &ada, "OPTIONS /", &format!("{foreign}{asks}"));
    assert_eq!((answer.status, answer.field("access-control-allow-origin")), (403, None));
    for more in ["X-HTTP-Method-Override: GET\r\n", "Sec-Fetch-Site: same-origin\r\n"] {
        assert_eq!(get(&all.house, &ada, "/", &format!("{foreign}{more}")).status, 403);
    }
    assert_eq!(all.ada.requests().len(), before);
}
