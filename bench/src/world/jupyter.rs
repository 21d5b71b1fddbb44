//! Work in JupyterLab as its front end does it: a kernel over REST, code over the kernel's
//! WebSocket, files through the contents API.

use data_encoding::BASE64;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::client::{Client, Response};

/// How a browser reaches this Jupyter: `base` is `/` or the session's prefix.
pub struct Notebook<'a> {
    pub connect: &'a dyn Fn() -> Client,
    pub host: &'a str,
    pub base: &'a str,
}

impl Notebook<'_> {
    /// Starts a kernel, runs `code` in it and gives what the cell evaluates to.
    pub fn evaluate(&self, code: &str) -> String {
        let kernel = self.call("POST", "api/kernels", b"{}");
        assert_eq!(kernel.status, 201, "{} {}", kernel.first_line, kernel.text());
        let kernel = kernel.json()["id"].as_str().expect("a kernel has an id").to_owned();
        let target = format!("{}api/kernels/{kernel}/channels", self.base);
        let mut socket = (self.connect)().websocket(self.host, &target, &[]);
        let request = execute_request(code);
        socket.send(Message::text(request.to_string())).expect("the request can be sent");
        let value = result_of(&mut socket);
        let ended = self.call("DELETE", &format!("api/kernels/{kernel}"), b"");
        assert_eq!(ended.status, 204, "{}", ended.first_line);
        value
    }

    /// Uploads bytes as a file by the contents API, in one PUT, as the front end does.
    pub fn upload(&self, name: &str, bytes: &[u8]) {
        let content = BASE64.encode(bytes);
        let model = format!(r#"{{"type":"file","format":"base64","content":"{content}"}}"#);
        let response = self.call("PUT", &format!("api/contents/{name}"), model.as_bytes());
        assert_eq!(response.status, 201, "{} {}", response.first_line, response.text());
    }

    pub fn download(&self, name: &str) -> Vec<u8> {
        let response = self.call("GET", &format!("files/{name}"), b"");
        assert_eq!(response.status, 200, "{}", response.first_line);
        response.message.body
    }

    fn call(&self, method: &str, path: &str, body: &[u8]) -> Response {
        let mut client = (self.connect)();
        client.send(format!(
            "{method} {}{path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            self.base,
            self.host,
            body.len()
        ));
        client.send(body);
        client.response()
    }
}

/// The kernel protocol's request to run a cell.
fn execute_request(code: &str) -> Value {
    json!({
        "header": {
            "msg_id": "cell-1", "msg_type": "execute_request", "username": "ada",
            "session": "black-box", "date": "2026-01-01T00:00:00Z", "version": "5.4"
        },
        "parent_header": {}, "metadata": {}, "channel": "shell", "buffers": [],
        "content": {
            "code": code, "silent": false, "store_history": true, "user_expressions": {},
            "allow_stdin": false, "stop_on_error": true
        }
    })
}

fn result_of(socket: &mut WebSocket<Client>) -> String {
    loop {
        let message = socket.read().expect("the kernel answers");
        let Ok(text) = message.to_text() else { continue };
        let Ok(message) = serde_json::from_str::<Value>(text) else { continue };
        let content = &message["content"];
        match message["msg_type"].as_str() {
            Some("execute_result") => {
                return content["data"]["text/plain"].as_str().unwrap_or_default().to_owned();
            }
            Some("error") => panic!("the cell failed: {content}"),
            _ => {}
        }
    }
}
