//! Who asks: the tool is told by Portico alone, in every field where tools look for it.

use super::*;

const SPOOFED: &str = "X-Connect-Sub: root\r\nX_Connect_Sub: root\r\nx-connect-SUB: root\r\n\
     X-Connect_Sub: root\r\nX-Connect-Role: root\r\nX-Forwarded-User: root\r\n\
     X_Forwarded_User: root\r\nX-Forwarded_User: root\r\nRemote-User: root\r\n\
     REMOTE_USER: root\r\nremote-user: root\r\nX-Forwarded-For: 192.0.2.66\r\n\
     X-Forwarded-Host: root\r\nX-Forwarded-Proto: root\r\nX-Forwarded-Prefix: /root\r\n\
     X-Forwarded-Email: root\r\nX-Real-IP: 192.0.2.66\r\nX-Original-URL: /root\r\n\
     X-Script-Name: /root\r\nX-Scheme: root\r\nX-RStudio-Root-Path: /root\r\n\
     Forwarded: for=192.0.2.66;host=root\r\nTrue-Client-IP: 192.0.2.66\r\n\
     Proxy-Authorization: root\r\n";

#[test]
fn a_tool_sees_the_true_user_whatever_the_client_says() {
    let names = "X-Forwarded-User,Remote-User";
    let house = House::start_with(|o| o.set("PORTICO_ACCESS__IDENTITY_HEADERS", names));
    let all = Neighbours::with(house, tool("", "this is eve's"));
    let browser = all.house.browser();
    let page = all.ada_at_eves(&browser);
    let grant = cookie(&page, "__Host-portico-grant", &host("eve"));
    let cookies = format!("Cookie: __Host-portico-grant={grant}\r\n");
    let upgrade = "Connection: Upgrade, X-Connect-Sub\r\nUpgrade: websocket\r\n";
    let listed = "Connection: X-Connect-Sub, X-Forwarded-User, Remote-User, Cookie, Host\r\n";
    for more in ["", upgrade, listed] {
        for credential in [&cookies, &format!("X-Portico-Grant: {grant}\r\n")] {
            let fields = format!("{SPOOFED}{credential}{more}Authorization: the-tools\r\n");
            let answer = get(&all.house, &host("eve"), "/spoofed", &fields);
            assert!(matches!(answer.status, 200 | 101), "{}", answer.first_line);
        }
    }
    let requests = all.eve.requests();
    let spoofed: Vec<_> = requests.iter().filter(|r| r.target == "/spoofed").collect();
    assert_eq!(spoofed.len(), 6);
    for request in spoofed {
        for name in ["x-connect-sub", "x-forwarded-user", "remote-user"] {
            assert_eq!(request.values(name), ["ada"], "{name}: {request:?}");
        }
        let told = |word: &str| {
            request.fields.iter().any(|(name, value)| name != "Host" && value.contains(word))
        };
        assert!(!told("root") && !told("192.0.2.66"), "{request:?}");
        assert_eq!(request.values("x-forwarded-proto"), ["https"]);
        assert_eq!(request.values("x-forwarded-host"), [host("eve").as_str()]);
        assert_eq!(request.values("authorization"), ["the-tools"]);
    }
}

/// Every way out of a prefix, with the cookies of who has only what is in front of it.
#[test]
fn a_path_never_leads_to_a_session_that_its_cookie_is_not_for() {
    let all = Neighbours::start();
    let browser = all.house.browser();
    let eve = all.house.signed_in(&browser, "eve", &by_path("eve"));
    eve.wait_for_text("this is eve's");
    let login = cookie(&eve, "__Host-portico-login", CONNECT_HOST);
    let grant = cookie(&eve, "__Secure-portico-grant-eve", CONNECT_HOST);
    // With her grant under every name that could be taken for another's.
    let cookies = format!(
        "Cookie: __Host-portico-login={login}; __Secure-portico-grant-eve={grant}; \
         __Secure-portico-grant-ada={grant}; __Host-portico-grant={grant}\r\n"
    );
    let ways = [
        "/_studio/eve/../ada/",
        "/_studio/eve/%2e%2e/ada/",
        "/_studio/eve/.%2E/ada/",
        "/_studio/eve/..%2fada/",
        "/_studio/eve/..%5cada/",
        "/_studio/eve/..\\ada/",
        "/_studio/eve/x/../../ada/",
        "/_studio/eve//..//../ada/",
        "/_studio/eve/%252e%252e/ada/",
        "/_studio/eve%2f..%2fada/",
        "/_studio/eve%2fada/",
        "/_studio//ada/",
        "//_studio/ada/",
        "/_studio/./ada/",
        "/_studio/%61da/",
        "/%5fstudio/ada/",
        "/_studio\\ada/",
        "/_studio/ada/",
        "/_studio/ADA/",
        "/_studio/ada/../eve/",
        "/_studio/ada/%2e%2e/eve/",
        "/_studio/ada;/../eve/",
        "/_studio/eve/;/../../ada/",
        "/_studio/ada?/../eve/",
        "/_studio/ada#/../eve/",
    ];
    let (ada_before, eve_before) = (all.ada.requests().len(), all.eve.requests().len());
    let mut passed = 0;
    for way in ways {
        for line in [format!("GET {way}"), format!("GET https://{CONNECT_HOST}{way}")] {
            let answer = send(&all.house, CONNECT_HOST, &line, &cookies);
            assert!(!answer.text().contains("this is ada's"), "{way}");
            passed += usize::from(answer.status == 200);
        }
    }
    assert_eq!(all.ada.requests().len(), ada_before);
    // What eve's tool got began with eve's own prefix, and left it in no reading.
    let got = all.eve.requests()[eve_before..].to_vec();
    assert_eq!(got.len(), passed);
    for request in &got {
        let target = request.target.replace("%252e", "");
        assert!(target.starts_with("/_studio/eve/") && !target.contains(".."), "{target}");
    }
    // On ada's own host they are worth nothing either.
    for name in ["__Host-portico-grant", "__Secure-portico-grant-ada", "__Host-portico-login"] {
        let fields = format!("Cookie: {name}={grant}\r\n");
        assert_eq!(get(&all.house, &host("ada"), "/", &fields).status, 401, "{name}");
    }
    let field = format!("X-Portico-Grant: {grant}\r\n");
    let ada = host("ada");
    for spelling in [ada.clone(), ada.to_uppercase(), format!("{ada}."), format!("{ada}:443")] {
        let request = format!("GET / HTTP/1.1\r\nHost: {spelling}\r\n{field}\r\n");
        let answer = all.house.client(&ada).exchange(request);
        assert!(answer.status >= 400, "{spelling}: {}", answer.first_line);
    }
    assert_eq!(all.ada.requests().len(), ada_before);
}
