//! A request for the edge app: read whole, because what is asked there is small, handed over, and
//! answered with what comes back.

use portico_core::domain::Scheme;
use portico_core::http::body::BodyReader;
use portico_core::http::client::Client;
use portico_core::http::decide::Door;
use portico_core::http::refusal::Refusal;
use portico_core::http::request::{BodyLength, Request};
use portico_core::limits;

use super::journal::Journal;
use super::{Connection, Turn};
use crate::connection::admit::Reply;
use crate::edge::{EdgeRequest, EdgeResponse};
use crate::pages::{self, Form, Page};
use crate::watch::Phase;

pub(super) struct Asked {
    request: EdgeRequest,
    body: BodyReader,
    expects_continue: bool,
    form: Form,
    journal: Journal,
}

impl Asked {
    pub(super) fn new(
        door: Door,
        client: &Client,
        request: &Request<'_, '_>,
        form: Form,
        journal: Journal,
    ) -> Self {
        let fields = request.fields.iter().map(|f| (f.name.to_owned(), f.value.to_vec())).collect();
        let has_body = request.body != BodyLength::None;
        Self {
            request: EdgeRequest {
                door,
                method: request.method.to_owned(),
                target: request.target.to_owned(),
                authority: request.authority.to_owned(),
                fields,
                body: Vec::new(),
                client: client.address,
                scheme: match client.scheme {
                    Scheme::Http => Scheme::Http,
                    Scheme::Https => Scheme::Https,
                },
            },
            body: BodyReader::new(request.body),
            expects_continue: request.expects_continue && has_body,
            // The body is read to its end, so that the next request can follow.
            form: Form { close: !request.persistent || request.upgrade.is_some(), ..form },
            journal,
        }
    }
}

impl Connection {
    pub(super) async fn ask_edge(&mut self, mut asked: Asked) -> Turn {
        match self.read_body(&mut asked).await {
            Ok(true) => {}
            Ok(false) => return Turn::Close,
            Err(refusal) => {
                super::admit::note_refusal(&self.worker, &self.client, refusal);
                let page = Page::of_body_refusal(refusal);
                let form = Form { close: true, ..asked.form };
                let reply = Reply::new(&self.worker, &page, form, asked.journal);
                return self.reply(reply).await;
            }
        }
        let Asked { request, form, journal, .. } = asked;
        let Some(edge) = &self.worker.shared.edge else { return Turn::Close };
        self.watched.watch.begin(Phase::Answering);
        let answer = edge.answer(request).await;
        let reply = match answer {
            Ok(answer) => self.edge_reply(answer, form, journal),
            Err(_) => {
                let page = Page::of_edge_failure();
                Reply::new(&self.worker, &page, form, journal)
            }
        };
        self.reply(reply).await
    }

    fn edge_reply(&self, answer: EdgeResponse, form: Form, journal: Journal) -> Reply {
        let EdgeResponse { status, fields, body } = answer;
        let close = form.close || self.worker.is_draining();
        let mut text = self.worker.text();
        pages::write_head(&mut text, status, body.len(), &fields, close);
        if !form.head_only {
            text.extend_from_slice(&body);
        }
        Reply { text, status, close, journal }
    }

    /// False: the client is gone.
    async fn read_body(&mut self, asked: &mut Asked) -> Result<bool, Refusal> {
        if asked.body.is_done() {
            return Ok(true);
        }
        self.watched.watch.enter(Phase::Head, limits::EDGE_BODY_TIMEOUT);
        if asked.expects_continue {
            let (sent, _) = self.stream.send(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()).await;
            if sent.is_err() {
                return Ok(false);
            }
        }
        loop {
            while !self.inbound.is_empty() && !asked.body.is_done() {
                let progress = asked.body.read(&self.inbound).map_err(|_| Refusal::Chunk)?;
                let (from, to) = progress.content;
                asked.request.body.extend_from_slice(&self.inbound[from..to]);
                self.inbound.advance(progress.consumed);
                if asked.request.body.len() > limits::EDGE_BODY_BYTES_MAX {
                    return Err(Refusal::BodyTooLarge);
                }
            }
            if asked.body.is_done() {
                return Ok(true);
            }
            match self.stream.recv().await {
                Ok(chunk) if !chunk.is_empty() => self.received(chunk),
                Ok(_) | Err(_) if self.watched.watch.expired() => return Err(Refusal::Timeout),
                Ok(_) | Err(_) => return Ok(false),
            }
        }
    }
}
