//! Much of a thing: what a sibling or a signed-in user can send without end keeps others from
//! nothing.

use std::time::Instant;

use super::*;

/// More cookies for the domain above than a head has room for.
#[test]
fn a_sibling_does_not_fill_up_the_heads_of_others_for_good() {
    let all = Neighbours::start();
    let browser = all.house.browser();
    let page = all.ada_at_eves(&browser);
    page.eval(
        "(() => { for (let i = 0; i < 40; i++) for (const domain of ['', '.connect'])
             document.cookie = 'flood' + i + '=' + 'x'.repeat(2000) +
                 '; secure; path=/; domain=' + (domain ? 'connect.example.com' : 'example.com');
         })()",
    );
    let flooded = || page.cookies().iter().any(|cookie| cookie["name"] == "flood39");
    eventually("the flood is there", || flooded().then_some(()));
    let first = page.open(&url("ada"));
    assert_eq!(first, 431, "the attack is one: {}", page.text());
    let again = (0..4).map(|_| page.open(&url("ada"))).find(|status| *status == 200);
    assert_eq!(again, Some(200), "{}", page.text());
    page.open(&by_path("ada"));
    page.wait_for_text("this is ada's");
}

/// As many grants and logins as fit a head, each of which could be the one.
#[test]
fn a_head_full_of_tokens_costs_little() {
    let all = Neighbours::start();
    let browser = all.house.browser();
    let eve = all.house.signed_in(&browser, "eve", &by_path("eve"));
    eve.wait_for_text("this is eve's");
    let grant = cookie(&eve, "__Secure-portico-grant-eve", CONNECT_HOST);
    let login = cookie(&eve, "__Host-portico-login", CONNECT_HOST);
    // Well-formed, and of no use.
    let login = format!("{}AAAA", &login[..login.len() - 4]);
    let grants = format!("__Secure-portico-grant-eve={grant}; ").repeat(120);
    let logins = format!("__Host-portico-login={login}; ").repeat(150);
    let fields = format!("Cookie: {grants}{logins}a=1\r\n");
    assert!(fields.len() < 64_000, "{}", fields.len());
    let mut client = all.house.client(CONNECT_HOST);
    let request = format!("GET /_studio/eve/ HTTP/1.1\r\nHost: {CONNECT_HOST}\r\n{fields}\r\n");
    let answer = client.exchange(&request);
    assert_eq!(answer.status, 401, "{}", answer.text());
    // The least of ten: what other tests' browsers take meanwhile is not this one's cost.
    let took = (0..10).map(|_| {
        let began = Instant::now();
        assert_eq!(client.exchange(&request).status, 401);
        began.elapsed()
    });
    let each = took.min().expect("there are ten");
    println!("{each:?} a request");
    assert!(each < Duration::from_millis(100), "{each:?}");
}

/// A cookie without a name is sent as its value alone, which can look like a cookie of ours.
#[test]
fn cookies_in_disguise_are_none_of_ours() {
    let all = Neighbours::start();
    let browser = all.house.browser();
    let eve = all.house.signed_in(&browser, "eve", &by_path("eve"));
    eve.wait_for_text("this is eve's");
    let grant = cookie(&eve, "__Secure-portico-grant-eve", CONNECT_HOST);
    let login = cookie(&eve, "__Host-portico-login", CONNECT_HOST);
    let page = all.ada_at_eves(&browser);
    page.eval(&format!(
        "(() => {{ for (const front of ['=', '= ', '=\\t', ' =', '\\t', '==', '\\u00a0', '\\u2000',
             '\\u0085', '\\f', '\\u0001', '$', '\"', ','])
             for (const pair of ['__Host-portico-login={login}',
                     '__Secure-portico-grant-eve={grant}', '__HOST-portico-login={login}'])
                 for (const domain of ['connect.example.com', 'example.com'])
                     document.cookie = front + pair + '; secure; path=/; domain=' + domain;
         }})()"
    ));
    // The page's icon, which the browser asks for when it likes, is of what was open before.
    let asked = || {
        let all = all.eve.requests().into_iter().map(|request| request.target);
        all.filter(|target| target != "/favicon.ico").collect::<Vec<_>>()
    };
    let before = asked();
    assert_eq!(page.open(&by_path("eve")), 403);
    page.wait_for_text("You are signed in as ada");
    assert_eq!(asked(), before);
    page.open(&by_path("ada"));
    page.wait_for_text("this is ada's");
    page.open(&url("ada"));
    page.wait_for_text("this is ada's");
}
