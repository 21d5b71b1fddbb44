//! The first steps of VS Code in a browser: the workbench page, then the WebSocket to its server.

use std::path::Path;

use tungstenite::Message;

use super::client::Client;

/// How a browser reaches this code-server: `base` is `/` or the session's prefix.
pub struct Workbench<'a> {
    pub connect: &'a dyn Fn() -> Client,
    pub origin: &'a str,
    pub host: &'a str,
    pub base: &'a str,
}

impl Workbench<'_> {
    /// Opens a folder; gives the build (`stable-…`) that the page names.
    pub fn open(&self, folder: &Path) -> String {
        let target = format!("{}?folder={}", self.base, folder.display());
        let page = (self.connect)().get(self.host, &target);
        assert_eq!(page.status, 200, "{page:?}");
        let text = page.text();
        assert!(text.contains("workbench"), "{text}");
        let (_, rest) = text
            .split_once("webviewEndpoint&quot;:&quot;")
            .expect("the page names its build in its settings");
        let build = rest.split('/').next().unwrap_or_default().to_owned();
        assert!(build.starts_with("stable-"), "{build}");
        let script =
            format!("{}{build}/static/out/vs/code/browser/workbench/workbench.js", self.base);
        let script = (self.connect)().get(self.host, &script);
        assert_eq!(script.status, 200, "{}", script.first_line);
        assert!(script.body.len() > 1_000_000, "{} bytes", script.body.len());
        build
    }

    /// Opens the WebSocket as the page does and exchanges the first messages of its protocol.
    pub fn handshake(&self, build: &str) {
        let target = format!(
            "{}{build}?reconnectionToken=9c8f1c55-0000-4000-8000-000000000001&reconnection=false\
             &skipWebSocketFrames=false",
            self.base
        );
        let mut socket = (self.connect)().websocket(self.host, &target, &[("Origin", self.origin)]);
        let hello = br#"{"type":"auth","auth":"00000000000000000000","data":"abc"}"#;
        socket.send(Message::binary(control(hello))).expect("a message can be sent");
        let answer = socket.read().expect("an answer").into_data();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains(r#""type":"sign""#), "{answer}");
    }
}

/// VS Code's own framing inside of WebSocket messages: kind, id, acknowledged id, length.
fn control(bytes: &[u8]) -> Vec<u8> {
    const CONTROL: u8 = 2;
    let length = u32::try_from(bytes.len()).expect("a short message");
    let mut message = vec![CONTROL];
    message.extend([1, 0, length].iter().flat_map(|number: &u32| number.to_be_bytes()));
    message.extend_from_slice(bytes);
    message
}
