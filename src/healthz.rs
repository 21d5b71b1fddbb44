//! `portico healthz`: whether the Portico beside it lives, for a container's health check, where
//! there is no shell and no curl. It asks the management listener that the same settings name, so
//! it must not check the other settings: a broken certificate file is no reason to be restarted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Arg, ArgAction, ArgMatches, Command};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::http::uri::Scheme;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use portico_core::limits;
use tokio::net::TcpStream;

use crate::failure::{Failure, Outcome};
use crate::serve;
use crate::settings::{self, Sources};

/// Less than the patience that container engines have, so that the reason is told.
const TIMEOUT: Duration = Duration::from_secs(4);

const READY: &str = "ready";
const URL: &str = "url";

pub fn command() -> Command {
    Command::new("healthz")
        .about("Ask the Portico on this machine whether it lives, for health checks")
        .after_help(
            "It reads the settings as `portico serve` does, to know management.listen.\n\n\
             Examples:\n  \
             portico healthz\n  \
             portico healthz --ready                        is it fit to be sent traffic\n  \
             portico healthz --url http://127.0.0.1:8888/   of something else\n\n\
             Exit codes: 0 yes; 1 no, or no answer within 4 s; 64 correct the settings.",
        )
        .args(settings::arguments())
        .arg(
            Arg::new(READY)
                .long(READY)
                .action(ArgAction::SetTrue)
                .help("Ask /readyz instead: it is 503 while routes are missing, and in a drain"),
        )
        .arg(
            Arg::new(URL)
                .long(URL)
                .value_name("URL")
                .conflicts_with(READY)
                .help("Ask this http URL instead; 200 is yes"),
        )
}

pub fn run(matches: &ArgMatches) -> Outcome {
    let url = match matches.get_one::<String>(URL) {
        Some(url) => url.clone(),
        None => {
            let path = if matches.get_flag(READY) { "readyz" } else { "healthz" };
            format!("http://{}/{path}", management(matches)?)
        }
    };
    let uri = parse(&url).map_err(Failure::settings)?;
    let answered = serve::runtime()?.block_on(async {
        let answered = tokio::time::timeout(TIMEOUT, ask(&uri)).await;
        answered.unwrap_or_else(|_| bail!("no answer within {} s", TIMEOUT.as_secs()))
    });
    let body = answered.with_context(|| format!("{url}: no")).map_err(Failure::ours)?;
    crate::say(&body);
    Ok(())
}

fn management(matches: &ArgMatches) -> Outcome<SocketAddr> {
    let mut collected = settings::collect(Sources::of_process(matches));
    match settings::management(&mut collected)? {
        Some(listen) => Ok(reachable(listen)),
        None => Err(Failure::settings(anyhow::anyhow!(
            "management.listen is off: give --url, as in --url http://127.0.0.1:8080/healthz"
        ))),
    }
}

/// All interfaces are no address to connect to, but loopback is among them.
pub fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn parse(url: &str) -> anyhow::Result<Uri> {
    let uri: Uri = url.parse().with_context(|| format!("`{url}` is no URL"))?;
    ensure!(uri.scheme() == Some(&Scheme::HTTP), "`{url}` is no http URL");
    Ok(uri)
}

/// The body of a 200.
pub async fn ask(uri: &Uri) -> anyhow::Result<String> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its error is told to whoever waits for the answer.
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, limits::API_BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    ensure!(head.status == StatusCode::OK, "{}: {}", head.status, text.trim_end());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn asked(arguments: &[&str]) -> Outcome {
        let all = std::iter::once(&"healthz").chain(arguments);
        run(&command().try_get_matches_from(all).unwrap())
    }

    /// Answers one request, and says on which port.
    fn server(answer: &'static str) -> (u16, tokio::runtime::Runtime) {
        let runtime = serve::runtime().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let count = stream.read(&mut head).await.unwrap();
            assert!(head[..count].starts_with(b"GET /healthz ") || answer.contains("503"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        (port, runtime)
    }

    #[test]
    fn it_asks_where_the_settings_say_and_loopback_for_all_interfaces() {
        let (port, _server) = server("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n");
        let listen = format!("0.0.0.0:{port}");
        asked(&["--management-listen", &listen]).unwrap();
        let failure = asked(&["--management-listen", "off"]).unwrap_err();
        assert_eq!(failure.code(), ExitCode::from(64));
        assert!(failure.to_string().contains("--url"), "{failure}");
    }

    #[test]
    fn a_no_and_no_answer_are_told_with_the_reason() {
        let (port, _server) = server("HTTP/1.1 503 x\r\nContent-Length: 5\r\n\r\nempty");
        let listen = format!("127.0.0.1:{port}");
        let failure = asked(&["--ready", "--management-listen", &listen]).unwrap_err();
        assert_eq!(failure.code(), ExitCode::from(1));
        assert!(failure.to_string().contains("503"), "{failure}");
        assert!(failure.to_string().contains("empty"), "{failure}");
        let (port, server) = server("");
        drop(server);
        let failure = asked(&["--url", &format!("http://127.0.0.1:{port}/")]).unwrap_err();
        assert_eq!(failure.code(), ExitCode::from(1));
        let failure = asked(&["--url", "https://127.0.0.1/"]).unwrap_err();
        assert_eq!(failure.code(), ExitCode::from(64));
    }
}
