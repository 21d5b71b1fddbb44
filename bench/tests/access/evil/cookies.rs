//! Portico's cookies: a tool never sees them, cannot take them away, and those that it puts in
//! front of them change nothing.

use super::*;

/// What a tool may not say for others than itself.
const FIELDS: &str = "Set-Cookie: __Host-portico-grant=evil; Path=/; Secure\r\n\
     Set-Cookie: __Secure-portico-grant-ada=evil; Path=/_studio/ada/; Secure\r\n\
     Set-Cookie: Portico=evil\r\n\
     Set-Cookie: =__Host-portico-start=evil; Path=/; Secure\r\n\
     Set-Cookie: up=evil; Domain=connect.example.com\r\n\
     Set-Cookie: up=evil; Domain=.example.com; Path=/\r\n\
     Set-Cookie: up=evil; Domain=eve.connect.example.com; Domain=example.com\r\n\
     Set-Cookie: wide=1; Path=/\r\n\
     Clear-Site-Data: \"cookies\", \"storage\"\r\n\
     Service-Worker-Allowed: /\r\n\
     NEL: {\"report_to\":\"x\",\"max_age\":1}\r\n\
     Report-To: {\"group\":\"x\",\"max_age\":1,\"endpoints\":[]}\r\n\
     Reporting-Endpoints: x=\"https://evil.example/\"\r\n\
     Alt-Svc: h3=\":443\"\r\n\
     Strict-Transport-Security: max-age=0\r\n";

#[test]
fn a_tool_never_gets_what_is_ours_and_its_scripts_do_not_see_it() {
    let all = Neighbours::start();
    let browser = all.house.browser();
    let page = all.ada_at_eves(&browser);
    page.eval("document.cookie = 'own=1; path=/'");
    page.eval("fetch('/x', { method: 'POST', body: 'x' })");
    page.eval(
        "new Promise(done => { const s = new WebSocket('wss://' + location.host + '/socket'); \
         s.onerror = s.onopen = done; })",
    );
    assert_eq!(page.eval("document.cookie"), "own=1");
    page.open(&by_path("ada"));
    assert_eq!(page.eval("document.cookie"), "");
    let names = page.cookies();
    let ours: Vec<_> = names
        .iter()
        .filter(|cookie| cookie["name"].as_str().is_some_and(|name| name.contains("portico")))
        .collect();
    assert!(ours.len() >= 4, "{ours:?}");
    assert!(ours.iter().all(|c| c["httpOnly"] == true && c["secure"] == true), "{ours:?}");

    // A program with a grant in a field, and one that has all in odd spellings.
    let grant = cookie(&page, "__Host-portico-grant", &host("eve"));
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for more in ["", upgrade] {
        for fields in [
            format!("X-Portico-Grant: {grant}\r\nX_Portico_Grant: {grant}\r\n"),
            format!("Cookie: __Host-portico-grant={grant}\r\n"),
            format!(
                "Cookie: a=1;__Host-portico-grant={grant};portico-x=1\r\nCookie: portico=2\r\n"
            ),
            format!("cookie:__host-Portico-x={grant} ; __Host-portico-grant={grant}\r\n"),
        ] {
            let answer = get(&all.house, &host("eve"), "/raw", &format!("{fields}{more}"));
            assert!(matches!(answer.status, 200 | 101), "{fields}{more}: {}", answer.first_line);
        }
    }
    let requests = all.eve.requests();
    let count = |target: &str| requests.iter().filter(|r| r.target == target).count();
    assert_eq!([count("/x"), count("/socket"), count("/raw")], [1, 1, 8]);
    for request in requests.iter().chain(&all.ada.requests()) {
        assert!(!tells_a_secret(request), "{request:?}");
    }
    assert_eq!(requests.iter().find(|r| r.target == "/x").unwrap().values("cookie"), ["own=1"]);
}

#[test]
fn a_tool_speaks_for_no_more_than_its_own_place() {
    let house = House::start();
    let eve = tool(FIELDS, "<title>eve</title>this is eve's");
    let all = Neighbours::with(house, eve);
    let browser = all.house.browser();
    let page = all.ada_at_eves(&browser);
    let login = cookie(&page, "__Host-portico-login", CONNECT_HOST);
    page.reload();
    let evil: Vec<_> = page.cookies().into_iter().filter(|c| c["value"] == "evil").collect();
    assert!(evil.is_empty(), "{evil:?}");
    assert_eq!(cookie(&page, "__Host-portico-login", CONNECT_HOST), login);
    page.open(&by_path("ada"));
    page.wait_for_text("this is ada's");

    // By path, where the origin is everybody's: eve looks at her own.
    let eve = all.house.signed_in(&browser, "eve", &by_path("eve"));
    eve.wait_for_text("this is eve's");
    let grant = cookie(&eve, "__Secure-portico-grant-eve", CONNECT_HOST);
    let fields = format!("X-Portico-Grant: {grant}\r\n");
    let answer = get(&all.house, CONNECT_HOST, "/_studio/eve/", &fields);
    assert_eq!(answer.values("set-cookie"), ["wide=1; Path=/_studio/eve/"]);
    for name in [
        "clear-site-data",
        "service-worker-allowed",
        "nel",
        "report-to",
        "reporting-endpoints",
        "alt-svc",
        "strict-transport-security",
    ] {
        assert_eq!(answer.field(name), None, "{name}");
    }
    let worker = |scope: &str| {
        format!(
            "navigator.serviceWorker.register('/_studio/eve/sw.js', {{ scope: '{scope}' }}) \
             .then(() => 'taken over', e => e.name + e.message)"
        )
    };
    let refused = eve.eval(&worker("/"));
    let refused = refused.as_str().unwrap_or_default();
    assert!(refused.contains("Service-Worker-Allowed"), "{refused}");
    assert_eq!(eve.eval(&worker("/_studio/eve/")), "taken over");
}

/// Sixty cookies of our names, for the domain above all sessions.
#[test]
fn cookies_tossed_from_below_lock_nobody_out_and_nobody_in() {
    let all = Neighbours::start();
    let browser = all.house.browser();
    // Eve's own grants, with which ada is to be made to work as eve.
    let eve = all.house.signed_in(&browser, "eve", &by_path("eve"));
    eve.wait_for_text("this is eve's");
    let grants = json!([cookie(&eve, "__Secure-portico-grant-eve", CONNECT_HOST), "x", ""]);
    let page = all.ada_at_eves(&browser);
    let toss = "(grants => {
        for (let i = 0; i < 20; i++) for (const [n, grant] of grants.entries())
            for (const [name, path] of [
                ['__Secure-portico-grant-ada', '/_studio/ada/' + i],
                ['__Secure-portico-grant-ada', i % 2 ? '/_studio/ada/' : '/'],
                ['portico-grant' + i + n, '/'],
            ])
                for (const domain of i < 7 ? ['connect.example.com', 'example.com'] : [])
                    document.cookie = name + '=' + grant + '; secure; domain=' + domain +
                        '; path=' + path;
        for (const name of ['grant', 'login', 'start', 'state-x', 'refresh'])
            for (const domain of ['; domain=connect.example.com', '; domain=example.com'])
                document.cookie = '__Host-portico-' + name + '=evil; secure; path=/' + domain;
        document.cookie = '__Secure-portico-grant-eve=' + grants[0] +
            '; secure; domain=connect.example.com; path=/_studio/eve/';
        return document.cookie;
    })";
    page.eval(&format!("{toss}({grants})"));
    let cookies = page.cookies();
    let tossed = |c: &&serde_json::Value| {
        let domain = c["domain"].as_str().unwrap_or_default();
        domain.starts_with('.')
    };
    let tossed: Vec<_> = cookies.iter().filter(tossed).collect();
    assert!(tossed.len() >= 40, "the attack is one: {}", tossed.len());
    let host_only = |c: &&&serde_json::Value| c["name"].as_str().unwrap().starts_with("__Host-");
    assert_eq!(tossed.iter().find(host_only), None);

    // Not out.
    page.open(&by_path("ada"));
    page.wait_for_text("this is ada's");
    page.open(&url("ada"));
    page.wait_for_text("this is ada's");
    assert!(!all.ada.requests().iter().any(tells_a_secret));
    // Not in: by path eve's session is eve's alone, and ada is ada.
    let before = all.eve.requests().len();
    assert_eq!(page.open(&by_path("eve")), 403);
    page.wait_for_text("This session is not open to you");
    assert_eq!(all.eve.requests().len(), before);
    // What was good for nothing is taken away.
    let left = page.cookies();
    let left = |name: &str| left.iter().filter(|c| c["name"] == name).count();
    assert_eq!(left("__Secure-portico-grant-eve"), 0);
}

/// Who has lost the sign-in is sent to it once, and comes back, whatever was tossed.
#[test]
fn a_tossed_cookie_does_not_make_a_loop_of_signing_in() {
    let all = Neighbours::start();
    let browser = all.house.browser();
    let page = all.ada_at_eves(&browser);
    page.clear_cookies();
    for (domain, path) in [
        (".connect.example.com", "/_studio/ada/"),
        (".connect.example.com", "/"),
        (".example.com", "/"),
    ] {
        page.add_cookie(&json!({
            "name": "__Secure-portico-grant-ada", "value": "evil", "domain": domain, "path": path,
            "secure": true,
        }));
    }
    page.open(&by_path("ada"));
    let evil: Vec<_> = page.cookies().into_iter().filter(|c| c["value"] == "evil").collect();
    assert!(evil.is_empty(), "{evil:?}");
    page.sign_in("ada");
    page.wait_for_text("this is ada's");
}
