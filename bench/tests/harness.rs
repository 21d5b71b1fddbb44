//! What the tests of sign-in stand on, without a Portico: a platform that is a real OpenID
//! provider, and users in a real browser. `make tools` installs both; without them these tests
//! fail.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use portico_bench::world::browser::Browser;
use portico_bench::world::certificates::{Authority, TLS13};
use portico_bench::world::client::{Client, Response};
use portico_bench::world::oidc::{OidcProvider, PLATFORM_HOST, Platform, REGISTRATION_TOKEN};
use portico_bench::world::upstream::Upstream;
use serde_json::{Value, json};
use tempfile::TempDir;

const CALLBACK: &str = "http://connect.example.com/callback";
/// A pair from RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// The platform below `/api` with TLS, and a client of it.
struct SignIn {
    authority: Authority,
    provider: OidcProvider,
    /// What stands at the connect host.
    connect: Upstream,
}

struct Registered {
    id: String,
    secret: String,
}

impl SignIn {
    fn start() -> Self {
        let authority = Authority::generate();
        let provider = OidcProvider::start(&Platform {
            mount: "/api",
            workspaces: json!({ "ada": ["genomics"], "eve": [] }),
            tls: Some(&authority),
        });
        let connect = answering_html("<h1>The connect host</h1>");
        provider.reach("connect.example.com:80", connect.address);
        Self { authority, provider, connect }
    }

    fn browser(&self) -> Browser {
        let rules: [(&str, SocketAddr); 2] = [
            (&self.provider.authority(), self.provider.address),
            ("connect.example.com:80", self.connect.address),
        ];
        Browser::start(&rules)
    }

    /// A request to the provider by a client of its own.
    fn post(&self, path: &str, fields: &str, body: &str) -> Response {
        let config = self.authority.client(&[&TLS13]);
        let mut client = Client::connect_tls(self.provider.address, PLATFORM_HOST, config);
        let (host, length) = (self.provider.authority(), body.len());
        client.exchange(format!(
            "POST /api/{path} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: {length}\r\n\r\n\
             {body}"
        ))
    }

    fn register(&self, token: &str) -> Response {
        let metadata = json!({
            "client_name": "Portico",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "post_logout_redirect_uris": ["http://connect.example.com/signed-out"],
            "backchannel_logout_uri": "http://connect.example.com/backchannel",
        });
        let fields = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        self.post("reg", &fields, &metadata.to_string())
    }

    fn registered(&self) -> Registered {
        let response = self.register(REGISTRATION_TOKEN);
        assert_eq!(response.status, 201, "{}", response.text());
        let answer = response.json();
        let word = |name: &str| answer[name].as_str().expect("it is in the answer").to_owned();
        Registered { id: word("client_id"), secret: word("client_secret") }
    }

    fn authorize_url(&self, client: &Registered, more: &str) -> String {
        format!(
            "{}/auth?response_type=code&client_id={}&redirect_uri={CALLBACK}&state=some-state\
             &scope=openid%20profile%20offline_access&prompt=consent&nonce=some-nonce{more}",
            self.provider.issuer(),
            client.id,
        )
    }

    fn token(&self, client: &Registered, body: &str) -> Response {
        let basic = BASE64.encode(format!("{}:{}", client.id, client.secret).as_bytes());
        let form = "application/x-www-form-urlencoded";
        let fields = format!("Authorization: Basic {basic}\r\nContent-Type: {form}\r\n");
        self.post("token", &fields, body)
    }
}

fn answering_html(body: &str) -> Upstream {
    let length = body.len();
    Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{body}"
    ))
}

/// The claims of a token; who signed it is not the question here.
fn claims(token: &Value) -> Value {
    let token = token.as_str().expect("a token");
    let payload = token.split('.').nth(1).expect("a signed token has three parts");
    let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).expect("base64url");
    serde_json::from_slice(&payload).expect("claims are JSON")
}

fn parameter(url: &str, name: &str) -> String {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter_map(|(key, value)| (key == name).then_some(value));
    values.next().unwrap_or_else(|| panic!("no {name} in {url}")).to_owned()
}

#[test]
fn a_user_signs_in_with_a_code_and_pkce_and_is_logged_out_by_the_platform() {
    let sign_in = SignIn::start();
    let client = sign_in.registered();
    let browser = sign_in.browser();
    let ada = browser.user("ada");
    let pkce = format!("&code_challenge={CHALLENGE}&code_challenge_method=S256");
    assert_eq!(ada.open(&sign_in.authorize_url(&client, &pkce)), 200);
    ada.sign_in("ada");
    ada.wait_for_url(CALLBACK);
    ada.wait_for_text("The connect host");
    assert_eq!(parameter(&ada.url(), "state"), "some-state");

    let code = parameter(&ada.url(), "code");
    let exchange = format!(
        "grant_type=authorization_code&code={code}&redirect_uri={CALLBACK}&code_verifier={VERIFIER}"
    );
    let tokens = sign_in.token(&client, &exchange);
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let id_token = claims(&tokens.json()["id_token"]);
    assert_eq!(id_token["sub"], "ada");
    assert_eq!(id_token["iss"], sign_in.provider.issuer());
    assert_eq!(id_token["nonce"], "some-nonce");
    assert_eq!(id_token["workspaces"], json!(["genomics"]));

    sign_in.provider.set_workspaces("ada", &["genomics", "imaging"]);
    let refresh = |tokens: &Response| {
        let token = tokens.json()["refresh_token"].as_str().expect("it was asked for").to_owned();
        sign_in.token(&client, &format!("grant_type=refresh_token&refresh_token={token}"))
    };
    let refreshed = refresh(&tokens);
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
    let id_token = claims(&refreshed.json()["id_token"]);
    assert_eq!(id_token["workspaces"], json!(["genomics", "imaging"]));

    let told = sign_in.provider.log_out("ada");
    assert_eq!(told, [json!({ "client_id": client.id, "error": null })]);
    let requests = sign_in.connect.requests();
    let request = requests.iter().find(|request| request.target == "/backchannel");
    let body = request.expect("the client was told").message.text();
    let logout = body.strip_prefix("logout_token=").expect("a logout token");
    assert_eq!(claims(&json!(logout))["sub"], "ada");
    assert_eq!(refresh(&refreshed).status, 400, "the grant is revoked");
    assert!(sign_in.provider.sessions().is_empty());
}

#[test]
fn a_client_is_registered_with_the_token_only_and_must_use_pkce() {
    let sign_in = SignIn::start();
    assert_eq!(sign_in.register("another").status, 401);
    assert!(sign_in.provider.registered_clients().is_empty());
    let client = sign_in.registered();
    let known = sign_in.provider.registered_clients();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0]["redirect_uris"], json!([CALLBACK]));

    let eve = sign_in.browser().user("eve");
    eve.open(&sign_in.authorize_url(&client, ""));
    assert_eq!(parameter(&eve.url(), "error"), "invalid_request");
}

#[test]
fn a_user_signs_out_at_the_platform() {
    let sign_in = SignIn::start();
    let client = sign_in.registered();
    let ada = sign_in.browser().user("ada");
    let pkce = format!("&code_challenge={CHALLENGE}&code_challenge_method=S256");
    ada.open(&sign_in.authorize_url(&client, &pkce));
    ada.sign_in("ada");
    ada.wait_for_url(CALLBACK);
    assert_eq!(sign_in.provider.sessions().len(), 1);
    // A second time nobody is asked.
    ada.open(&sign_in.authorize_url(&client, &pkce));
    ada.wait_for_url(CALLBACK);

    let back = "http://connect.example.com/signed-out";
    let (issuer, id) = (sign_in.provider.issuer(), &client.id);
    ada.open(&format!("{issuer}/session/end?client_id={id}&post_logout_redirect_uri={back}"));
    ada.click("#yes");
    ada.wait_for_url(back);
    assert!(sign_in.provider.sessions().is_empty());
}

#[test]
fn a_platform_that_was_down_knows_its_clients() {
    let sign_in = SignIn::start();
    let client = sign_in.registered();
    let browser = sign_in.browser();
    let ada = browser.user("ada");
    let pkce = format!("&code_challenge={CHALLENGE}&code_challenge_method=S256");
    let url = sign_in.authorize_url(&client, &pkce);
    sign_in.provider.down();
    for _ in 0..3 {
        let error = ada.try_open(&url).expect_err("nobody listens");
        assert!(error.contains("ERR_CONNECTION_REFUSED"), "{error}");
    }
    sign_in.provider.up();
    ada.open(&url);
    ada.sign_in("ada");
    ada.wait_for_url(CALLBACK);
}

#[test]
fn users_share_no_cookies_and_unknown_names_lead_nowhere() {
    let one = answering_html("<h1>One</h1>");
    let browser = Browser::start(&[("*.connect.example.com:80", one.address)]);
    let (ada, bob) = (browser.user("ada"), browser.user("bob"));
    for user in [&ada, &bob] {
        assert_eq!(user.open("http://one.connect.example.com/"), 200);
    }
    ada.eval("document.cookie = 'mine=1'");
    assert_eq!(ada.another().open("http://one.connect.example.com/"), 200);
    assert_eq!(ada.pages().len(), 2);
    let cookies = ada.cookies();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    assert_eq!((&cookies[0]["name"], &cookies[0]["value"]), (&json!("mine"), &json!("1")));
    assert!(bob.cookies().is_empty());
    let error = bob.try_open("http://elsewhere.example.com/").expect_err("it leads nowhere");
    assert!(error.contains("ERR_NAME_NOT_RESOLVED"), "{error}");
}

#[test]
fn a_program_finds_the_platform_by_name_on_this_machine() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/with-names.sh");
    let directory = TempDir::new().expect("a temporary directory");
    let mut command = Command::new(script);
    command.args([PLATFORM_HOST, "getent", "hosts", PLATFORM_HOST]).current_dir(directory.path());
    let found = command.output().expect("the script runs");
    let said = String::from_utf8_lossy(&found.stdout);
    assert!(said.starts_with("127.0.0.1 "), "{found:?}");
}

#[test]
fn what_becomes_of_a_websocket_is_seen() {
    let (page, echo) = (answering_html("<h1>A tool</h1>"), Upstream::websocket_echo());
    let browser = Browser::start(&[
        ("tool.connect.example.com:80", page.address),
        ("tool.connect.example.com:81", echo.address),
    ]);
    let ada = browser.user("ada");
    ada.open("http://tool.connect.example.com/");
    let back = ada.eval(
        "new Promise((resolve) => {
            window.socket = new WebSocket('ws://tool.connect.example.com:81/kernel');
            socket.onopen = () => socket.send('there and back');
            socket.onmessage = ({ data }) => resolve(data);
        })",
    );
    assert_eq!(back, "there and back");
    assert!(ada.sockets()[0].closed.is_none());
    echo.break_connections();
    let (socket, closed) = ada.closed_socket("/kernel");
    assert_eq!((closed.code, closed.clean), (1006, false));
    assert!(socket.opened_at.is_some_and(|opened| opened <= closed.at));
}

#[test]
fn a_platforms_page_frames_another() {
    let tool = answering_html("<h1>A tool</h1><script>throw new Error('in the frame')</script>");
    let provider = OidcProvider::start(&Platform::default());
    let browser = Browser::start(&[("tool.connect.example.com:80", tool.address)]);
    let ada = browser.user("ada");
    ada.open(&format!("{}/embed?url=http://tool.connect.example.com/", provider.origin()));
    let frame = ada.frame("tool.connect.example.com");
    frame.wait_for_text("A tool");
    assert_eq!(frame.eval("window.top === window"), false);
    assert!(ada.errors().iter().any(|error| error.contains("in the frame")), "{:?}", ada.errors());

    let files = TempDir::new().expect("a temporary directory");
    let picture = files.path().join("page.png");
    ada.screenshot(&picture);
    let bytes = std::fs::read(picture).expect("the picture was written");
    assert!(bytes.starts_with(b"\x89PNG"));
}

#[test]
fn a_wait_that_fails_says_where_the_page_is_and_what_it_shows() {
    let page = answering_html("<h1>Not what was expected</h1>");
    let browser = Browser::start(&[("one.connect.example.com:80", page.address)]);
    let ada = browser.user("ada").patient(Duration::from_millis(300));
    ada.clone().patient(Duration::from_secs(20)).open("http://one.connect.example.com/here");
    let failed = catch_unwind(AssertUnwindSafe(|| ada.wait_for("#expected")));
    let failed = failed.expect_err("there is no such element");
    let said = failed.downcast_ref::<String>().expect("a message");
    for part in ["#expected", "http://one.connect.example.com/here", "Not what was expected"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}
