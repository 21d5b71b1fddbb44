//! A session's answer on its way to the client: heads rewritten, the body passed on piece by piece.

use std::cell::RefCell;
use std::io;

use portico_core::http::exchange::{Exchange, HeadKind};
use portico_core::http::refusal::GatewayFault;
use portico_core::http::response::{Dropped, Rules};
use portico_core::limits;

use super::upload::Upload;
use crate::io::{Chunk, Socket};
use crate::metrics::labels::{CookieFault, Direction, FieldFault, Limit};
use crate::stream::Stream;
use crate::watch::Watch;
use crate::worker::Worker;

/// How an answer ended.
pub(super) enum End {
    /// The client has all of it.
    Complete,
    /// 101: what came behind the head is in the chunk.
    Switched(Chunk),
    /// The upstream ended before it said anything.
    Silent,
    /// The upstream's fault, before the client got any of it.
    Fault(GatewayFault),
    /// The upstream's fault, when the client already had a part.
    Cut(GatewayFault),
    /// The client is gone.
    ClientGone,
}

/// What is known of an answer when it ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) status: u16,
    /// To the client.
    pub(super) bytes: u64,
}

pub(super) struct Download<'a, 'u> {
    pub(super) worker: &'a Worker,
    pub(super) client: &'a Stream,
    pub(super) upstream: &'a Socket,
    pub(super) exchange: &'a RefCell<Exchange>,
    pub(super) watch: &'a Watch,
    /// The upload beside it, of a request with a body.
    pub(super) upload: Option<&'a Upload<'u>>,
    pub(super) rules: Rules<'a>,
    pub(super) tally: Tally,
}

impl Download<'_, '_> {
    pub(super) async fn run(&mut self) -> End {
        let mut inbound = Chunk::EMPTY;
        // A head that comes in pieces is gathered here; most come whole.
        let mut gathered = Vec::new();
        loop {
            if inbound.is_empty() {
                inbound = match self.receive().await {
                    Ok(Some(chunk)) => chunk,
                    Ok(None) | Err(_) if self.tally.bytes == 0 && gathered.is_empty() => {
                        return End::Silent;
                    }
                    Ok(None) | Err(_) => return End::Fault(GatewayFault::Truncated),
                };
            }
            let (kind, text) = match self.head(&mut inbound, &mut gathered) {
                Ok(Some(head)) => head,
                Ok(None) => continue,
                Err(fault) => return End::Fault(fault),
            };
            match kind {
                HeadKind::Final => return self.body(text, inbound).await,
                HeadKind::Interim if text.is_empty() => self.worker.return_text(text),
                HeadKind::Interim | HeadKind::Switched => {
                    if !self.send_text(text).await {
                        return End::ClientGone;
                    }
                    if kind == HeadKind::Switched {
                        return End::Switched(inbound);
                    }
                    if let Some(upload) = self.upload {
                        upload.note_interim(self.exchange);
                    }
                }
            }
        }
    }

    /// The next head, written for the client, once it is complete.
    fn head(
        &mut self,
        inbound: &mut Chunk,
        gathered: &mut Vec<u8>,
    ) -> Result<Option<(HeadKind, Vec<u8>)>, GatewayFault> {
        let scanned = gathered.len();
        if scanned > 0 {
            gathered.extend_from_slice(inbound);
            inbound.clear();
        }
        let input = if scanned > 0 { &gathered[..] } else { &inbound[..] };
        let mut text = self.worker.text();
        let close = self.worker.is_draining();
        let step = self.exchange.borrow_mut().response_head(
            input,
            scanned,
            &self.rules,
            close,
            &mut text,
        )?;
        let Some(step) = step else {
            if scanned == 0 {
                gathered.extend_from_slice(inbound);
                inbound.clear();
            }
            self.worker.return_text(text);
            return Ok(None);
        };
        if scanned > 0 {
            *inbound = Chunk::from(gathered.split_off(step.consumed));
            gathered.clear();
        } else {
            inbound.advance(step.consumed);
        }
        self.tally.status = step.status;
        self.note_dropped(step.dropped);
        Ok(Some((step.kind, text)))
    }

    /// The body, its first piece together with the head.
    async fn body(&mut self, text: Vec<u8>, mut inbound: Chunk) -> End {
        let mut head = Some(text);
        loop {
            let step = match self.exchange.borrow_mut().response_body(&inbound) {
                Ok(step) => step,
                Err(fault) if head.is_some() => return End::Fault(fault),
                Err(fault) => return End::Cut(fault),
            };
            let (start, end) = step.forward;
            let sent = match head.take() {
                Some(mut text) if end - start <= limits::COALESCE_BYTES_MAX => {
                    text.extend_from_slice(&inbound[start..end]);
                    inbound.advance(step.consumed);
                    self.send_text(text).await
                }
                Some(text) => {
                    self.send_head(text).await
                        && self.send_piece(&mut inbound, step.forward, step.consumed).await
                }
                None => self.send_piece(&mut inbound, step.forward, step.consumed).await,
            };
            if !sent {
                return End::ClientGone;
            }
            if step.done {
                return End::Complete;
            }
            if inbound.is_empty() {
                match self.receive().await {
                    Ok(Some(chunk)) => {
                        inbound = chunk;
                        self.watch.answer_moved();
                    }
                    Ok(None) => {
                        return match self.exchange.borrow_mut().upstream_end() {
                            Ok(()) => End::Complete,
                            Err(fault) => End::Cut(fault),
                        };
                    }
                    // Not even a body that lasts until the end of the connection ends like this.
                    Err(_) => return End::Cut(GatewayFault::Truncated),
                }
            }
        }
    }

    /// `None` is the orderly end of the upstream's stream.
    async fn receive(&self) -> io::Result<Option<Chunk>> {
        let chunk = self.upstream.recv().await?;
        self.worker.counters.bytes.at(Direction::UpstreamIn).add(chunk.len() as u64);
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    async fn send_text(&mut self, text: Vec<u8>) -> bool {
        let bytes = text.len();
        let (sent, text) = self.client.send(text).await;
        self.worker.return_text(text);
        self.note_sent(sent.is_ok(), bytes)
    }

    async fn send_head(&mut self, text: Vec<u8>) -> bool {
        let bytes = text.len();
        let (sent, text) = self.client.send_more(text).await;
        self.worker.return_text(text);
        self.note_sent(sent.is_ok(), bytes)
    }

    /// Sends `forward` of the chunk, and takes `consumed` off it.
    async fn send_piece(
        &mut self,
        inbound: &mut Chunk,
        (start, end): (usize, usize),
        consumed: usize,
    ) -> bool {
        if start == end {
            inbound.advance(consumed);
            return true;
        }
        let sent = if consumed == inbound.len() {
            // The whole chunk is used up: it is sent from where it was received.
            let mut piece = std::mem::replace(inbound, Chunk::EMPTY);
            piece.truncate(end);
            piece.advance(start);
            self.client.send(piece).await.0
        } else {
            let piece = inbound[start..end].to_vec();
            inbound.advance(consumed);
            self.client.send(piece).await.0
        };
        self.note_sent(sent.is_ok(), end - start)
    }

    fn note_sent(&mut self, sent: bool, bytes: usize) -> bool {
        if sent {
            self.tally.bytes += bytes as u64;
            self.worker.counters.bytes.at(Direction::ClientOut).add(bytes as u64);
        }
        sent
    }

    fn note_dropped(&self, dropped: Dropped) {
        let counters = &self.worker.counters.set_cookie_dropped;
        if dropped.cookies_by_domain > 0 {
            counters.at(CookieFault::Domain).add(dropped.cookies_by_domain.into());
        }
        if dropped.cookies_by_name > 0 {
            counters.at(CookieFault::Name).add(dropped.cookies_by_name.into());
        }
        let counters = &self.worker.counters.fields_dropped;
        if dropped.clear_site_data > 0 {
            counters.at(FieldFault::ClearSiteData).add(dropped.clear_site_data.into());
        }
        if dropped.origin_wide > 0 {
            counters.at(FieldFault::OriginWide).add(dropped.origin_wide.into());
        }
    }
}

/// Counts the limit that a fault stands for.
pub(super) fn note_fault(worker: &Worker, fault: GatewayFault) {
    let limit = match fault {
        GatewayFault::HeadTooLarge => Limit::Head,
        GatewayFault::Interim => Limit::InterimResponses,
        _ => return,
    };
    worker.counters.limit_reached.at(limit).add(1);
}
