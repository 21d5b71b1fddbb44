//! One request and its response passing through: a state machine fed with the bytes of both sides,
//! in any pieces and any order. It says how much of each piece goes on, when each side is done, and
//! whether each connection may be used again. Who calls it owns the sockets and the buffers.

use super::body::BodyReader;
use super::head::field_space;
use super::refusal::{GatewayFault, Refusal};
use super::request::{BodyLength, Request, Version};
use super::response::{Delivery, Dropped, Response, Rules};
use crate::limits;

#[derive(Debug)]
pub struct Exchange {
    upload: BodyReader,
    download: Download,
    head_only: bool,
    upgrade_asked: bool,
    idempotent: bool,
    client: Version,
    client_persistent: bool,
    upstream_persistent: bool,
    answered_anything: bool,
    uploaded_anything: bool,
    /// The client asked whether to send its body, and was not told yet.
    continue_asked: bool,
    interim: u32,
}

#[derive(Debug)]
enum Download {
    Head,
    Body { reader: BodyReader, bare: bool },
    Done,
    Tunnel,
}

/// A head of the response was complete, and is written to `out` for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadStep {
    pub consumed: usize,
    pub status: u16,
    pub kind: HeadKind,
    pub dropped: Dropped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// 1xx: another head follows. `out` is empty when this client cannot read it.
    Interim,
    /// The response proper; its body follows.
    Final,
    /// 101: from here on both sides are opaque bytes.
    Switched,
}

/// How far the response's body got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyStep {
    pub consumed: usize,
    /// The part of `consumed` that the client gets.
    pub forward: (usize, usize),
    pub done: bool,
}

impl Exchange {
    pub fn new(request: &Request<'_, '_>) -> Self {
        Self {
            upload: BodyReader::new(request.body),
            download: Download::Head,
            head_only: request.method == "HEAD",
            upgrade_asked: request.upgrade.is_some(),
            idempotent: request.is_idempotent(),
            client: request.version,
            client_persistent: request.persistent,
            upstream_persistent: true,
            answered_anything: false,
            uploaded_anything: false,
            continue_asked: request.expects_continue,
            interim: 0,
        }
    }

    /// Bytes from the client behind the head: how many belong to this request and go on.
    pub fn upload(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let consumed = self.upload.pass(input).map_err(|_| Refusal::Chunk)?;
        self.uploaded_anything |= consumed > 0;
        Ok(consumed)
    }

    pub fn upload_done(&self) -> bool {
        self.upload.is_done()
    }

    /// The client may wait for `100 Continue` before it sends its body (RFC 9110 §10.1.1): until
    /// then that none comes is no fault of its own.
    pub fn awaits_continue(&self) -> bool {
        self.continue_asked && !self.uploaded_anything
    }

    pub fn download_done(&self) -> bool {
        matches!(self.download, Download::Done)
    }

    pub fn awaits_head(&self) -> bool {
        matches!(self.download, Download::Head)
    }

    /// Bytes from the upstream that start at a response head; `None`: it is not complete yet.
    /// `close` makes this the last answer on the client's connection (draining).
    pub fn response_head(
        &mut self,
        input: &[u8],
        scanned: usize,
        rules: &Rules<'_>,
        close: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<HeadStep>, GatewayFault> {
        self.answered_anything |= !input.is_empty();
        let mut space = field_space();
        let Some(response) = Response::parse(input, scanned, &mut space)? else {
            return Ok(None);
        };
        let kind = match response.status {
            101 if self.upgrade_asked => HeadKind::Switched,
            101 => return Err(GatewayFault::UnaskedUpgrade),
            100..=199 => HeadKind::Interim,
            _ => HeadKind::Final,
        };
        let delivery = self.begin(kind, &response, close)?;
        // Bytes behind the head of an answer without content are nobody's.
        self.upstream_persistent &= !self.download_done() || response.bytes == input.len();
        let unread = kind == HeadKind::Interim && self.client == Version::Http10;
        let dropped =
            if unread { Dropped::default() } else { response.write(out, rules, delivery) };
        Ok(Some(HeadStep { consumed: response.bytes, status: response.status, kind, dropped }))
    }

    fn begin(
        &mut self,
        kind: HeadKind,
        response: &Response<'_, '_>,
        close: bool,
    ) -> Result<Delivery, GatewayFault> {
        let mut bare = false;
        match kind {
            HeadKind::Interim => {
                self.continue_asked &= response.status != 100;
                self.interim += 1;
                if self.interim > limits::INTERIM_RESPONSES_MAX {
                    return Err(GatewayFault::Interim);
                }
            }
            HeadKind::Switched => self.download = Download::Tunnel,
            HeadKind::Final => {
                let body = if self.head_only { BodyLength::None } else { response.body };
                bare = response.body == BodyLength::Chunked && self.client == Version::Http10;
                self.upstream_persistent = response.persistent && body != BodyLength::UntilClose;
                // After an unread body, a refused upgrade or a body without a length nothing that
                // follows on the client's connection could be told apart.
                let endless =
                    body == BodyLength::UntilClose || (bare && body == BodyLength::Chunked);
                self.client_persistent &=
                    !close && self.upload.is_done() && !self.upgrade_asked && !endless;
                let reader = BodyReader::new(body);
                self.download =
                    if reader.is_done() { Download::Done } else { Download::Body { reader, bare } };
            }
        }
        Ok(Delivery {
            client: self.client,
            persistent: self.client_persistent,
            bare,
            upgrade: kind == HeadKind::Switched,
        })
    }

    /// Bytes from the upstream behind the final head. What is not consumed when it is done does not
    /// belong to this response: the upstream's connection is not used again.
    pub fn response_body(&mut self, input: &[u8]) -> Result<BodyStep, GatewayFault> {
        let step = match &mut self.download {
            Download::Body { reader, bare: false } => {
                let consumed = reader.pass(input).map_err(|_| GatewayFault::Chunk)?;
                BodyStep { consumed, forward: (0, consumed), done: reader.is_done() }
            }
            Download::Body { reader, bare: true } => {
                let progress = reader.read(input).map_err(|_| GatewayFault::Chunk)?;
                BodyStep {
                    consumed: progress.consumed,
                    forward: progress.content,
                    done: progress.done,
                }
            }
            Download::Done => BodyStep { consumed: 0, forward: (0, 0), done: true },
            Download::Head | Download::Tunnel => {
                BodyStep { consumed: 0, forward: (0, 0), done: false }
            }
        };
        if step.done {
            self.upstream_persistent &= step.consumed == input.len();
            self.download = Download::Done;
        }
        Ok(step)
    }

    /// The upstream closed its side.
    pub fn upstream_end(&mut self) -> Result<(), GatewayFault> {
        self.upstream_persistent = false;
        match &self.download {
            Download::Done | Download::Tunnel => Ok(()),
            Download::Body { reader, .. } if reader.may_end_now() => {
                self.download = Download::Done;
                Ok(())
            }
            Download::Head | Download::Body { .. } => Err(GatewayFault::Truncated),
        }
    }

    /// A pooled connection turned out to be stale: whether the request may be sent once more. When
    /// a part of its body went with the first try, only if all of it did and was kept.
    pub fn may_retry(&self, body_kept: bool) -> bool {
        let nothing_lost = !self.uploaded_anything || (body_kept && self.upload_done());
        self.idempotent && nothing_lost && !self.answered_anything && self.awaits_head()
    }

    /// After the exchange: the client's connection may carry another request.
    pub fn client_persistent(&self) -> bool {
        self.client_persistent && self.upload.is_done() && self.download_done()
    }

    /// After the exchange: the upstream's connection may carry another request.
    pub fn upstream_persistent(&self) -> bool {
        self.upstream_persistent && self.upload.is_done() && self.download_done()
    }
}

#[cfg(test)]
mod tests;
