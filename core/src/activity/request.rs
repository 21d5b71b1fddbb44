//! Whether a request is use or a page's poll, which a browser goes on with while nobody looks.

use super::message::{Rules, Seen};
use crate::domain::PATH_PREFIX;
use crate::template::ToolKind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    Data,
    Poll,
}

impl From<RequestKind> for Seen {
    fn from(kind: RequestKind) -> Self {
        match kind {
            RequestKind::Data => Self::DATA,
            RequestKind::Poll => Self::PING,
        }
    }
}

/// `target` is a request's path and query as the client sent them, with or without the prefix
/// `/_studio/<label>`. A request that no rule knows is data.
pub fn request_kind(tool: ToolKind, method: &[u8], target: &[u8]) -> RequestKind {
    let (path, query) = own(target);
    let is_poll = match tool {
        ToolKind::Jupyter => is_poll_of_jupyter(method, path, query),
        // code-server asks itself; its page keeps a WebSocket alive, and polls nothing.
        ToolKind::Vscode => path == b"/healthz",
        // A page of RStudio Server always has one such request open, up to 50 s (from its issues
        // and pull requests: it was not run here). Its other calls are below /rpc.
        ToolKind::Rstudio => method == b"POST" && matches!(path, b"/events/get_events"),
        ToolKind::Xpra | ToolKind::Other => false,
    };
    if is_poll { RequestKind::Poll } else { RequestKind::Data }
}

/// For a WebSocket that was asked for by `target`, as above.
pub fn message_rules(tool: ToolKind, target: &[u8]) -> Rules {
    Rules::of(tool, own(target).0)
}

/// JupyterLab 4.6.6, with a notebook or a terminal open, every 10 s; `me` and `kernelspecs` every
/// 61 s.
fn is_poll_of_jupyter(method: &[u8], path: &[u8], query: &[u8]) -> bool {
    match (method, path) {
        (
            b"GET",
            b"/api/kernels"
            | b"/api/sessions"
            | b"/api/terminals"
            | b"/api/kernelspecs"
            | b"/api/me"
            | b"/api/status"
            | b"/lab/api/workspaces",
        ) => true,
        // The layout of the page, written again after each listing.
        (b"PUT", path) => path.starts_with(b"/lab/api/workspaces/"),
        (b"GET", path) if path.starts_with(b"/api/contents") => {
            // Lists a folder, or looks whether a file has changed. Who opens a file says of what
            // type it is.
            !query.split(|&byte| byte == b'&').any(|field| field.starts_with(b"type="))
        }
        // It shows whether the kernel is busy.
        (b"GET", path) => path.starts_with(b"/static/favicons/"),
        _ => false,
    }
}

/// The tool's own path, and the query.
fn own(target: &[u8]) -> (&[u8], &[u8]) {
    let (path, query) = match target.iter().position(|&byte| byte == b'?') {
        Some(mark) => (&target[..mark], &target[mark + 1..]),
        None => (target, &target[target.len()..]),
    };
    let Some(below) = path.strip_prefix(PATH_PREFIX.as_bytes()) else { return (path, query) };
    let slash = below.iter().position(|&byte| byte == b'/').unwrap_or(below.len());
    (&below[slash..], query)
}

#[cfg(test)]
mod tests {
    use super::super::message::Rule;
    use super::*;

    #[test]
    fn polls_are_told_from_use() {
        use RequestKind::{Data, Poll};
        use ToolKind::{Jupyter, Other, Rstudio, Vscode, Xpra};
        for (tool, request, kind) in [
            (Jupyter, "GET /api/kernels?1795595225696", Poll),
            (Jupyter, "GET /_studio/a1b2/api/kernels?1795595225696", Poll),
            (Jupyter, "GET /api/sessions?1795595285066", Poll),
            (Jupyter, "GET /api/terminals?1795595285066", Poll),
            (Jupyter, "GET /api/me?1795595283101", Poll),
            (Jupyter, "GET /api/kernelspecs?1795595283101", Poll),
            (Jupyter, "GET /api/status", Poll),
            (Jupyter, "GET /lab/api/workspaces?1795595282167", Poll),
            (Jupyter, "PUT /lab/api/workspaces/default?1795595295596", Poll),
            (Jupyter, "GET /api/contents?content=1&hash=0&1795595285069", Poll),
            (Jupyter, "GET /api/contents/a/b?content=1&hash=0&1795595285069", Poll),
            (Jupyter, "GET /api/contents/nb.ipynb?content=0&hash=1&1795595344684", Poll),
            (Jupyter, "GET /static/favicons/favicon-busy-1.ico", Poll),
            (Jupyter, "GET /api/contents/nb.ipynb?type=notebook&content=1&hash=1&17955", Data),
            (Jupyter, "PUT /api/contents/nb.ipynb?1795595464758", Data),
            (Jupyter, "POST /api/contents/nb.ipynb/checkpoints?1795595224785", Data),
            (Jupyter, "POST /api/kernels", Data),
            (Jupyter, "POST /api/sessions?1795595224785", Data),
            (Jupyter, "GET /lab/tree/nb.ipynb", Data),
            (Jupyter, "GET /files/a.bin", Data),
            (Jupyter, "PUT /lab/api/settings/x", Data),
            (Jupyter, "GET /_studio/a1b2", Data),
            (Vscode, "GET /healthz", Poll),
            (Vscode, "GET /stable-53c2/vscode-remote-resource?path=%2Fx&tkn=", Data),
            (Vscode, "GET /api/kernels", Data),
            (Rstudio, "POST /events/get_events", Poll),
            (Rstudio, "POST /_studio/a1/events/get_events", Poll),
            (Rstudio, "POST /rpc/console_input", Data),
            (Xpra, "GET /", Data),
            (Other, "GET /api/kernels", Data),
            (Other, "", Data),
        ] {
            let (method, target) = request.split_once(' ').unwrap_or_default();
            let found = request_kind(tool, method.as_bytes(), target.as_bytes());
            assert_eq!(found, kind, "{tool:?} {request}");
        }
    }

    #[test]
    fn a_websocket_is_read_by_its_tool_and_path() {
        for (tool, target, from_client, from_session) in [
            (ToolKind::Jupyter, "/api/events/subscribe", Rule::Background, Rule::Background),
            (
                ToolKind::Jupyter,
                "/_studio/a/api/events/subscribe?x",
                Rule::Background,
                Rule::Background,
            ),
            (ToolKind::Jupyter, "/api/kernels/1/channels?session_id=2", Rule::Data, Rule::Data),
            (ToolKind::Jupyter, "/terminals/websocket/1", Rule::Data, Rule::Data),
            (ToolKind::Vscode, "/stable-5?x=1", Rule::VscodeClient, Rule::VscodeSession),
            (ToolKind::Xpra, "/", Rule::Xpra, Rule::Xpra),
            (ToolKind::Other, "/api/events/subscribe", Rule::Data, Rule::Data),
        ] {
            let expected = Rules { from_client, from_session };
            assert_eq!(message_rules(tool, target.as_bytes()), expected, "{tool:?} {target}");
        }
    }
}
