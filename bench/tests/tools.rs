//! Real tools behind the real binary: JupyterLab and code-server, over TLS, on both routings and
//! both io back ends. `make tools` installs them; without them these tests fail.

use portico_bench::world::certificates::{Authority, TLS13};
use portico_bench::world::client::Client;
use portico_bench::world::code_server::Workbench;
use portico_bench::world::jupyter::Notebook;
use portico_bench::world::tool::Tool;
use portico_bench::world::{CONNECT_HOST, Io, Options, World};
use serde_json::json;
use tempfile::TempDir;

macro_rules! on_both_io {
    ($($name:ident),+ $(,)?) => {
        mod uring {
            $(#[test]
            fn $name() {
                super::$name(portico_bench::world::Io::Uring);
            })+
        }

        mod epoll {
            $(#[test]
            fn $name() {
                super::$name(portico_bench::world::Io::Epoll);
            })+
        }
    };
}

on_both_io!(
    jupyterlab_computes_by_subdomain,
    jupyterlab_computes_by_path,
    code_server_connects_by_subdomain,
    code_server_connects_by_path,
);

/// Portico with TLS, and a way to connect to a host of it.
struct Secure {
    world: World,
    authority: Authority,
    _files: TempDir,
}

impl Secure {
    fn start(io: Io) -> Self {
        let files = TempDir::new().expect("a temporary directory");
        let authority = Authority::generate();
        let names = [CONNECT_HOST, "*.connect.example.com"];
        let certificate = authority.certificate(files.path(), "all", &names);
        let options = Options::new(env!("CARGO_BIN_EXE_portico"), io);
        Self { world: World::start(options.tls(&[certificate])), authority, _files: files }
    }

    fn connect(&self, host: &str) -> Client {
        let address = self.world.https.expect("a listener with TLS");
        Client::connect_tls(address, host, self.authority.client(&[&TLS13]))
    }
}

/// 50 MB in which a lost, doubled or moved piece is seen.
fn fifty_megabytes() -> Vec<u8> {
    (0..50_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn work(notebook: &Notebook<'_>) {
    assert_eq!(notebook.evaluate("6*7"), "42");
    let bytes = fifty_megabytes();
    notebook.upload("large.bin", &bytes);
    assert!(notebook.download("large.bin") == bytes, "the file came back changed");
}

fn jupyterlab_computes_by_subdomain(io: Io) {
    let secure = Secure::start(io);
    let tool = Tool::jupyter("/");
    let session = secure.world.session_with(json!({ "upstream": tool.url() }));
    let host = session.host.as_str();
    work(&Notebook { connect: &|| secure.connect(host), host, base: "/" });
}

fn jupyterlab_computes_by_path(io: Io) {
    let secure = Secure::start(io);
    let tool = Tool::jupyter("/_studio/anotebook/");
    let fields = json!({ "label": "anotebook", "upstream": tool.url(), "routing": ["path"] });
    let session = secure.world.session_with(fields);
    let connect = || secure.connect(CONNECT_HOST);
    work(&Notebook { connect: &connect, host: CONNECT_HOST, base: &session.prefix });
}

fn code_server_connects_by_subdomain(io: Io) {
    let secure = Secure::start(io);
    let tool = Tool::code_server();
    let session = secure.world.session_with(json!({ "upstream": tool.url() }));
    // With a port, as where Portico is not on 443: code-server compares it with the origin.
    let host = format!("{}:8443", session.host);
    let workbench = Workbench {
        connect: &|| secure.connect(&session.host),
        origin: &format!("https://{host}"),
        host: &host,
        base: "/",
    };
    let build = workbench.open(tool.home());
    workbench.handshake(&build);
}

/// code-server knows of no prefix: it writes relative addresses, so Portico takes the prefix off.
fn code_server_connects_by_path(io: Io) {
    let secure = Secure::start(io);
    let tool = Tool::code_server();
    let fields = json!({ "upstream": tool.url(), "routing": ["path"], "strip_prefix": true });
    let session = secure.world.session_with(fields);
    let workbench = Workbench {
        connect: &|| secure.connect(CONNECT_HOST),
        origin: &format!("https://{CONNECT_HOST}"),
        host: CONNECT_HOST,
        base: &session.prefix,
    };
    let build = workbench.open(tool.home());
    workbench.handshake(&build);
}
