//! WebSockets by a library that knows the protocol (tungstenite), as browser and as tool.

use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{Error, Message, WebSocket};

use super::client::Client;
use super::upstream::{Connection, Upstream};

impl Client {
    /// Opens a WebSocket on this connection, with fields of one's own.
    #[track_caller]
    pub fn websocket(self, host: &str, target: &str, fields: &[(&str, &str)]) -> WebSocket<Client> {
        match self.try_websocket(host, target, fields) {
            Ok(socket) => socket,
            Err(Error::Http(response)) => panic!("refused: {response:?}"),
            Err(e) => panic!("no WebSocket: {e}"),
        }
    }

    pub fn try_websocket(
        self,
        host: &str,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Result<WebSocket<Client>, Error> {
        let mut request = format!("ws://{host}{target}").into_client_request()?;
        for (name, value) in fields {
            let name: tungstenite::http::HeaderName = name.parse().expect("a field name");
            request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a value"));
        }
        match tungstenite::client(request, self) {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::HandshakeError::Failure(e)) => Err(e),
            Err(tungstenite::HandshakeError::Interrupted(_)) => panic!("no answer to the upgrade"),
        }
    }
}

impl Upstream {
    /// Sends every WebSocket message back, and answers a close.
    pub fn websocket_echo() -> Self {
        Self::scripted(echo)
    }
}

fn echo(connection: &mut Connection) {
    let Ok(mut socket) = tungstenite::accept(connection.wire()) else {
        return;
    };
    while let Ok(message) = socket.read() {
        if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
            return;
        }
    }
}

/// One message there and back.
#[track_caller]
pub fn round_trip(socket: &mut WebSocket<Client>, text: &str) {
    socket.send(Message::text(text)).expect("a message can be sent");
    let back = socket.read().expect("the message comes back");
    assert_eq!(back.to_text().ok(), Some(text));
}
