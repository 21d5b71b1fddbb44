//! Real Redis servers for tests, each in a directory below target/. They end when they are dropped,
//! and those that all tests share with the test's process.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, mpsc};
use std::time::{Duration, Instant};

pub struct Server {
    child: Child,
    pub port: u16,
    pub directory: PathBuf,
    arguments: Vec<String>,
}

/// Starts processes for all tests: the kernel kills them with the thread that started them, and
/// those of the tests end before the servers that they share.
type Order = (Command, mpsc::SyncSender<Child>);
static KEEPER: LazyLock<Mutex<mpsc::SyncSender<Order>>> = LazyLock::new(|| {
    let (orders, queue) = mpsc::sync_channel::<Order>(1);
    std::thread::spawn(move || {
        for (mut command, reply) in queue {
            reply.send(command.spawn().expect("setpriv and redis-server are installed")).unwrap();
        }
    });
    Mutex::new(orders)
});

fn spawn(command: Command) -> Child {
    let (reply, child) = mpsc::sync_channel(1);
    KEEPER.lock().unwrap().send((command, reply)).unwrap();
    child.recv().unwrap()
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Server {
    /// `of_port` makes the arguments for a port that is free.
    pub fn start(of_port: impl Fn(u16, &Path) -> Vec<String>) -> Self {
        for _ in 0..5 {
            let port = free_port();
            let directory =
                PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("redis-{port}"));
            let _ = std::fs::remove_dir_all(&directory);
            std::fs::create_dir_all(&directory).unwrap();
            let arguments = of_port(port, &directory);
            let child = Self::run(&directory, &arguments);
            let mut server = Self { child, port, directory, arguments };
            if server.is_up() {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    pub fn plain(more: &[&str]) -> Self {
        Self::start(|port, _| plain_arguments(port, more))
    }

    fn run(directory: &Path, arguments: &[String]) -> Child {
        let log = File::create(directory.join("log")).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "redis-server"]).args(arguments);
        command.current_dir(directory).stdin(Stdio::null()).stdout(log).stderr(Stdio::null());
        spawn(command)
    }

    /// Listens, rather than having ended because somebody took the port.
    fn is_up(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline && self.child.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.child = Self::run(&self.directory, &self.arguments);
        assert!(self.is_up(), "redis-server starts again");
    }

    pub fn forget_everything(&self) {
        std::fs::remove_dir_all(&self.directory).unwrap();
        std::fs::create_dir_all(&self.directory).unwrap();
    }

    /// `STOP` or `CONT`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    pub fn cli(&self, command: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(command).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub fn plain_arguments(port: u16, more: &[&str]) -> Vec<String> {
    let port = port.to_string();
    let all = ["--port", &port, "--bind", "127.0.0.1", "--save", ""];
    all.iter().chain(more).map(|argument| (*argument).to_owned()).collect()
}

/// A primary, a replica and three Sentinels.
pub struct Sentinels {
    pub primary: Server,
    pub replica: Server,
    sentinels: Vec<Server>,
}

impl Sentinels {
    pub fn start() -> Self {
        let primary = Server::plain(&["--repl-diskless-sync-delay", "0"]);
        let port = primary.port.to_string();
        let replica = Server::plain(&["--replicaof", "127.0.0.1", &port]);
        eventually("the replica follows", || {
            primary.cli(&["role"]).contains(&replica.port.to_string())
        });
        let sentinel = |_| {
            Server::start(|own, directory| {
                let config = format!(
                    "port {own}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {port} 2\n\
                     sentinel down-after-milliseconds main 500\n\
                     sentinel failover-timeout main 2000\n"
                );
                std::fs::write(directory.join("sentinel.conf"), config).unwrap();
                vec!["sentinel.conf".into(), "--sentinel".into()]
            })
        };
        let all = Self { primary, replica, sentinels: (0..3).map(sentinel).collect() };
        for sentinel in &all.sentinels {
            eventually("the Sentinels know each other and the replica", || {
                let known = sentinel.cli(&["sentinel", "master", "main"]);
                let number = |name: &str| {
                    known.lines().skip_while(|line| *line != name).nth(1).unwrap_or("0").to_owned()
                };
                number("num-slaves") == "1" && number("num-other-sentinels") == "2"
            });
        }
        all
    }

    pub fn url(&self) -> String {
        let hosts: Vec<_> =
            self.sentinels.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        format!("redis+sentinel://{}/main", hosts.join(","))
    }
}

/// Three nodes of a Cluster, each with a third of the slots.
pub struct Cluster {
    pub nodes: Vec<Server>,
}

impl Cluster {
    pub fn start() -> Self {
        let node = |_| {
            Server::start(|port, _| {
                let bus = free_port().to_string();
                plain_arguments(port, &["--cluster-enabled", "yes", "--cluster-port", &bus])
            })
        };
        let nodes: Vec<_> = (0..3).map(node).collect();
        for (node, slots) in
            nodes.iter().zip([["0", "5460"], ["5461", "10922"], ["10923", "16383"]])
        {
            node.cli(&["cluster", "addslotsrange", slots[0], slots[1]]);
        }
        for other in &nodes[1..] {
            // `<ip>:<port>@<bus port>` in the line about itself.
            let line = other.cli(&["cluster", "nodes"]);
            let bus = line.split(['@', ',', ' ']).nth(2).unwrap();
            nodes[0].cli(&["cluster", "meet", "127.0.0.1", &other.port.to_string(), bus]);
        }
        for node in &nodes {
            eventually("the nodes know each other", || {
                let info = node.cli(&["cluster", "info"]);
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            });
        }
        Self { nodes }
    }

    pub fn url(&self) -> String {
        let hosts: Vec<_> =
            self.nodes.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }
}
