//! Ways to open a store in Redis: one server of each kind for all tests, and for each test a prefix
//! of its own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use crate::more_rules::redeem;
use crate::rules::id;
use portico_control::store::redis::{ACL_RULES, Redis, RedisOptions};
use portico_control::store::{Bounds, Conflict, Store, StoreError, Stored};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

#[path = "redis/servers.rs"]
pub mod servers;

use servers::{Cluster, Sentinels, Server};

static ALONE: LazyLock<Server> = LazyLock::new(|| Server::plain(&[]));
static SECURE: LazyLock<Server> = LazyLock::new(secure);
static SENTINELS: LazyLock<Sentinels> = LazyLock::new(Sentinels::start);
static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);
static PREFIXES: AtomicUsize = AtomicUsize::new(0);

type Opened = (Arc<dyn Store>, ());

pub fn prefix() -> String {
    format!("test-{}", PREFIXES.fetch_add(1, Ordering::Relaxed))
}

/// For a server of the test's own.
pub async fn open(url: &str) -> Arc<Redis> {
    let (store, _) = Redis::open(&RedisOptions::new(url), Bounds::default()).await.unwrap();
    Arc::new(store)
}

async fn opened(mut options: RedisOptions, bounds: Bounds) -> Opened {
    options.prefix = prefix();
    (Arc::new(Redis::open(&options, bounds).await.unwrap().0), ())
}

/// A server is started by whoever comes first, which takes a while and must not hold up a runtime.
async fn of<T: Send + Sync>(server: &'static LazyLock<T>) -> &'static T {
    tokio::task::spawn_blocking(|| LazyLock::force(server)).await.unwrap()
}

pub async fn alone(bounds: Bounds) -> Opened {
    let port = of(&ALONE).await.port;
    opened(RedisOptions::new(format!("redis://127.0.0.1:{port}/3")), bounds).await
}

pub async fn with_sentinel(bounds: Bounds) -> Opened {
    opened(RedisOptions::new(of(&SENTINELS).await.url()), bounds).await
}

pub async fn cluster(bounds: Bounds) -> Opened {
    opened(RedisOptions::new(of(&CLUSTER).await.url()), bounds).await
}

pub async fn with_tls_and_acl(bounds: Bounds) -> Opened {
    opened(secure_options(of(&SECURE).await), bounds).await
}

fn secure_options(server: &Server) -> RedisOptions {
    let mut options =
        RedisOptions::new(format!("rediss://portico:p%40ss@localhost:{}", server.port));
    let file = |name: &str| Some(server.directory.join(name));
    (options.ca_file, options.cert_file, options.key_file) =
        (file("ca.pem"), file("client.pem"), file("client.key"));
    options
}

/// TLS only, with client certificates, and one user that may do what is documented and no more.
fn secure() -> Server {
    Server::start(|port, directory| {
        certificates(directory);
        let acl = format!("user default off\nuser portico on >p@ss ~{{test-*}}:* {ACL_RULES}\n");
        std::fs::write(directory.join("users.acl"), acl).unwrap();
        let port = port.to_string();
        let all = [
            ["--port", "0"],
            ["--tls-port", &port],
            ["--bind", "127.0.0.1"],
            ["--save", ""],
            ["--tls-cert-file", "server.pem"],
            ["--tls-key-file", "server.key"],
            ["--tls-ca-cert-file", "ca.pem"],
            ["--tls-auth-clients", "yes"],
            ["--aclfile", "users.acl"],
        ];
        all.concat().into_iter().map(str::to_owned).collect()
    })
}

fn certificates(directory: &Path) {
    let write = |name: &str, text: String| std::fs::write(directory.join(name), text).unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate whose issuer has its own name for self-signed.
    params.distinguished_name.push(DnType::CommonName, "authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    write("ca.pem", authority.pem());
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        write(&format!("{name}.pem"), params.signed_by(&key, &authority).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

async fn refusal(options: RedisOptions) -> StoreError {
    Redis::open(&options, Bounds::default()).await.map(drop).unwrap_err()
}

#[tokio::test]
async fn a_login_that_is_refused_says_so_without_the_password() {
    let mut options = secure_options(of(&SECURE).await);
    options.password = Some("wrong-secret".into());
    let error = refusal(options).await;
    let text = format!("{error} {error:?}");
    assert!(error.is_settings() && text.contains("refuses the login"), "{text}");
    assert!(!text.contains("wrong-secret") && !text.contains("p%40ss"), "{text}");
}

#[tokio::test]
async fn a_certificate_is_checked_unless_told_not_to() {
    let server = of(&SECURE).await;
    let mut options = secure_options(server);
    options.ca_file = None;
    let error = refusal(options.clone()).await;
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    options.tls_insecure = true;
    options.prefix = prefix();
    Redis::open(&options, Bounds::default()).await.map(drop).unwrap();
    options.key_file = Some(PathBuf::from("/nowhere/client.key"));
    let error = refusal(options).await;
    assert!(error.is_settings() && error.to_string().contains("/nowhere/client.key"), "{error}");
}

#[tokio::test]
async fn a_redis_of_another_kind_is_refused_with_the_right_url() {
    let node = of(&CLUSTER).await.nodes[0].port;
    let error = refusal(RedisOptions::new(format!("redis://127.0.0.1:{node}"))).await;
    assert!(error.is_settings() && error.to_string().contains("redis+cluster://"), "{error}");
    let sentinels = of(&SENTINELS).await;
    let error = refusal(RedisOptions::new(sentinels.url().replace("/main", "/other"))).await;
    assert!(error.is_settings() && error.to_string().contains("`other`"), "{error}");
    let port = of(&ALONE).await.port;
    let url = format!("redis+cluster://127.0.0.1:{port}");
    let error = refusal(RedisOptions::new(url)).await;
    assert!(error.to_string().contains("Redis refused"), "{error}");
}

#[tokio::test]
async fn a_ticket_is_used_for_every_replica() {
    let mut options = RedisOptions::new(format!("redis://127.0.0.1:{}", of(&ALONE).await.port));
    options.prefix = prefix();
    for outcome in [Ok(Stored::Nothing), Err(Conflict::Exists), Err(Conflict::Exists)] {
        let (replica, _) = Redis::open(&options, Bounds::default()).await.unwrap();
        let replica: Arc<dyn Store> = Arc::new(replica);
        assert_eq!(redeem(&replica, "t1").await, outcome);
    }
}

#[tokio::test]
async fn a_store_of_a_newer_form_or_without_its_name_is_refused() {
    let server = of(&ALONE).await;
    let mut options = RedisOptions::new(format!("redis://127.0.0.1:{}", server.port));
    options.prefix = prefix();
    let key = |name: &str| format!("{{{}}}:{name}", options.prefix);
    let (store, report) = Redis::open(&options, Bounds::default()).await.unwrap();
    assert!(report.warnings[0].contains("appendonly yes"), "{report:?}");
    server.cli(&["set", &key("form"), "2"]);
    let error = store.snapshot().await.unwrap_err();
    assert!(error.to_string().contains("form `2`"), "{error}");
    let error = store.delete(id("one"), None).await.unwrap_err();
    assert!(error.to_string().contains("form `2`"), "{error}");
    assert!(refusal(options.clone()).await.to_string().contains("form `2`"));
    server.cli(&["del", &key("form"), &key("identity")]);
    server.cli(&["set", &key("position"), "7"]);
    assert!(refusal(options).await.to_string().contains("lost its identity"));
}
