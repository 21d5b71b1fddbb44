//! Calls to servers that redirect, stall, never end or show a certificate of their own.

use std::sync::Arc;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

async fn answer_of(url: String, timeout: Duration) -> Result<Reply, CallError> {
    let request = Request::get(url).body(Full::default()).unwrap();
    Outbound::new(b"").unwrap().call(request, timeout).await
}

const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_redirect_is_not_followed_and_a_body_is_bounded() {
    let most = vec![b'x'; limits::OUTBOUND_BODY_BYTES_MAX];
    let more = vec![b'x'; limits::OUTBOUND_BODY_BYTES_MAX + 1];
    let app = Router::new()
        .route("/away", get(|| async { Redirect::to("/most") }))
        .route("/most", get(move || async move { most }))
        .route("/more", get(move || async move { more }));
    let at = serve(app).await;
    assert_eq!(answer_of(format!("{at}/away"), LONG).await.unwrap().status, 303);
    let most = answer_of(format!("{at}/most"), LONG).await.unwrap();
    assert_eq!(most.body.len(), limits::OUTBOUND_BODY_BYTES_MAX);
    assert!(matches!(answer_of(format!("{at}/more"), LONG).await, Err(CallError::TooLarge)));
}

#[tokio::test]
async fn silence_refusal_and_a_broken_answer_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let short = Duration::from_millis(50);
    assert!(matches!(answer_of(at.clone(), short).await, Err(CallError::Timeout(_))));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
        }
    });
    assert!(matches!(answer_of(at, LONG).await, Err(CallError::Body(_))));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = answer_of(format!("http://{closed}"), LONG).await;
    assert!(matches!(refused, Err(CallError::Connection(_))));
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_the_operator_says_so() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
        }
    });
    let trusting = Outbound::new(cert.pem().as_bytes()).unwrap();
    let request = || Request::get(&url).body(Full::default()).unwrap();
    assert_eq!(trusting.call(request(), LONG).await.unwrap().body, "hi");
    let other = Outbound::new(b"").unwrap();
    assert!(matches!(other.call(request(), LONG).await, Err(CallError::Connection(_))));
    assert!(matches!(Outbound::new(b"no PEM"), Err(OutboundError::NoCertificate)));
}
