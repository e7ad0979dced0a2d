//! Reads along with the bytes of one HTTP/2 client.

mod passing;

use std::mem;

use tokio::time::Instant;

use self::passing::Passing;
use super::{
    block::{Block, Role},
    fault::Fault,
    flood::Flood,
    frame::{self, FrameHead, HEAD, MAX_PAYLOAD, flag, kind},
    hpack::Decoder,
    limits::max_continuations,
    mark::Token,
};

/// The length of what every client sends first (RFC 9113 section 3.4). h2 checks it.
const PREFACE: usize = 24;
/// How much memory for bytes a connection keeps while it is idle.
const KEPT: usize = 1024;

/// Reads along with the bytes of one client: passes them on, holds them back, or replaces them.
#[derive(Debug)]
pub struct Inspector {
    state: State,
    decoder: Decoder,
    flood: Flood,
    token: Token,
    /// The maximum size of a header list of the client, in bytes.
    max_list: usize,
    /// The stream of the last request.
    last_stream: u32,
    /// Header blocks are written anew, because h2 no longer has the client's dynamic table.
    rewrites: bool,
    /// The part of a frame head, or of a header block, that has arrived.
    held: Vec<u8>,
    /// Bytes that replace those of the client.
    out: Vec<u8>,
    /// How many of them were taken.
    taken: usize,
    /// Memory for the fields of blocks.
    memory: Vec<u8>,
}

/// What the next byte belongs to.
#[derive(Debug)]
enum State {
    /// The preface, or a payload that nobody inspects: this many bytes of it are to come.
    Pass(usize),
    /// The head of a frame.
    Head,
    /// A header block that is held back.
    Block(Box<Held>),
    /// After an error that h2 finds too.
    PassAll,
    /// After an error that h2 has been made to find.
    Ended,
}

/// A header block that has not arrived completely.
#[derive(Debug)]
struct Held {
    /// The head of its HEADERS frame.
    head: FrameHead,
    depends_on_itself: bool,
    /// The fragments so far.
    block: Vec<u8>,
    /// The current frame, once its head is complete.
    frame: Option<FrameHead>,
    /// Where in [`Inspector::held`] the current frame begins.
    start: usize,
    continuations: usize,
}

/// Why the edge ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// `PROTOCOL_ERROR`, as which h2 also reports errors of compression.
    Protocol,
    /// `ENHANCE_YOUR_CALM`.
    Calm,
}

/// What becomes of a complete header block.
enum Verdict {
    /// It goes on as it came.
    Pass,
    /// It goes on as these fields.
    Rewritten(Vec<u8>),
    End(Reason),
}

impl Inspector {
    /// For a connection that begins, whose header lists may have `max_list` bytes. h2 must be told
    /// [`list_of_h2`](super::limits::list_of_h2).
    #[must_use]
    pub fn new(token: Token, max_list: usize, now: Instant) -> Self {
        Self {
            state: State::Pass(PREFACE),
            decoder: Decoder::default(),
            flood: Flood::new(now),
            token,
            max_list,
            last_stream: 0,
            rewrites: false,
            held: Vec::new(),
            out: Vec::new(),
            taken: 0,
            memory: Vec::new(),
        }
    }

    /// Inspects bytes that arrived. Returns how many of the first ones go on as they are. The others were taken: what
    /// follows for h2 is in [`output`](Self::output), which must be empty before this is called again.
    pub fn inspect(&mut self, input: &[u8], now: Instant) -> usize {
        let mut passing = Passing::default();
        while let Some(rest) = input.get(passing.at..).filter(|rest| !rest.is_empty()) {
            let count = match &mut self.state {
                State::Pass(left) => {
                    let count = rest.len().min(*left);
                    *left -= count;
                    if *left == 0 {
                        self.state = State::Head;
                    }
                    passing.pass(&rest[..count], &mut self.out);
                    count
                }
                State::PassAll => {
                    passing.pass(rest, &mut self.out);
                    rest.len()
                }
                State::Ended => rest.len(),
                State::Head => self.head(rest, &mut passing, now),
                State::Block(_) => self.block(rest),
            };
            passing.at += count;
        }
        passing.count
    }

    /// Bytes for h2 that are to be read before any more from the client.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.out.get(self.taken..).unwrap_or_default()
    }

    /// Removes bytes from [`output`](Self::output).
    pub fn consume(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.out.len() {
            self.taken = 0;
            self.out.clear();
            if self.out.capacity() > KEPT {
                self.out = Vec::new();
            }
        }
    }

    /// Whether no more bytes of the client will be used.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Notes that the edge has sent bytes to the client.
    pub fn sent(&mut self, bytes: usize) {
        self.flood.sent(bytes);
    }

    /// The memory in bytes for header blocks that are not complete, and for what h2 has not read yet. It is several
    /// times the size of a list while a block arrives in many frames.
    #[must_use]
    pub fn memory(&self) -> usize {
        let block = match &self.state {
            State::Block(held) => held.block.capacity(),
            _ => 0,
        };
        self.held.capacity() + self.out.capacity() + block
    }

    /// Reads the head of a frame, and the frame as well if it is a complete header block. Returns the bytes used.
    fn head(&mut self, rest: &[u8], passing: &mut Passing, now: Instant) -> usize {
        let count = (HEAD - self.held.len().min(HEAD)).min(rest.len());
        let Some(bytes) = first(&self.held, rest) else {
            self.held.extend_from_slice(&rest[..count]);
            return count;
        };
        let head = FrameHead::parse(&bytes);
        if self.flood.is_exceeded_by(&head, now) {
            self.end(Reason::Calm);
            return count;
        }
        match head.kind {
            // h2 has the right error for its size.
            _ if head.length > MAX_PAYLOAD => self.state = State::PassAll,
            kind::HEADERS if head.stream != 0 => return self.begin_block(head, rest, count, passing),
            kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => {
                self.end(Reason::Protocol);
                return count;
            }
            _ if head.length > 0 => self.state = State::Pass(head.length),
            _ => {}
        }
        if !self.held.is_empty() {
            self.out.append(&mut self.held);
        }
        passing.pass(&rest[..count], &mut self.out);
        count
    }

    /// Begins a header block whose first frame has this head. The head ends after `count` bytes of `rest`.
    fn begin_block(&mut self, head: FrameHead, rest: &[u8], count: usize, passing: &mut Passing) -> usize {
        if let Some(payload) = rest.get(count..count + head.length)
            && self.held.is_empty()
            && head.has(flag::END_HEADERS)
        {
            let frame = &rest[..count + head.length];
            match self.judge(&head, payload) {
                Verdict::Pass => passing.pass(frame, &mut self.out),
                verdict => self.replace(&head, verdict),
            }
            return frame.len();
        }
        self.held.extend_from_slice(&rest[..count]);
        self.state = State::Block(Box::new(Held {
            head,
            depends_on_itself: false,
            block: Vec::new(),
            frame: Some(head),
            start: 0,
            continuations: 0,
        }));
        if head.length == 0 {
            self.end_frame();
        }
        count
    }

    /// Reads more of a header block that is held back. Returns the bytes used.
    fn block(&mut self, rest: &[u8]) -> usize {
        let State::Block(held) = &mut self.state else { return 0 };
        let have = self.held.len() - held.start.min(self.held.len());
        let want = HEAD + held.frame.map_or(0, |head| head.length);
        let count = want.saturating_sub(have).min(rest.len());
        self.held.extend_from_slice(&rest[..count]);
        if have + count < want {
            return count;
        }
        if held.frame.is_some() {
            self.end_frame();
            return count;
        }
        let Some(bytes) = self.held.get(held.start..).and_then(|bytes| bytes.first_chunk()) else { return count };
        let head = FrameHead::parse(bytes);
        if head.kind != kind::CONTINUATION || head.stream != held.head.stream || head.length > MAX_PAYLOAD {
            self.end(Reason::Protocol);
            return count;
        }
        held.frame = Some(head);
        held.continuations += usize::from(!head.has(flag::END_HEADERS));
        if held.continuations > max_continuations(self.max_list) {
            self.end(Reason::Calm);
        } else if head.length == 0 {
            self.end_frame();
        }
        count
    }

    /// Ends a frame of a header block that is held back, and the block with its last frame.
    fn end_frame(&mut self) {
        let State::Block(held) = &mut self.state else { return };
        let Some(frame) = held.frame.take() else { return };
        let payload = self.held.get(held.start + HEAD..).unwrap_or_default();
        held.start = self.held.len();
        if frame.kind == kind::HEADERS {
            let Some(fragment) = frame::fragment(&frame, payload) else { return self.end(Reason::Protocol) };
            held.depends_on_itself = fragment.depends_on_itself;
            held.block.extend_from_slice(payload.get(fragment.range).unwrap_or_default());
        } else {
            held.block.extend_from_slice(payload);
        }
        if !frame.has(flag::END_HEADERS) {
            return;
        }
        let State::Block(held) = mem::replace(&mut self.state, State::Head) else { return };
        match self.judge_block(&held.head, &held.block, held.depends_on_itself) {
            Verdict::Pass => self.out.append(&mut self.held),
            verdict => self.replace(&held.head, verdict),
        }
        self.held = Vec::new();
    }

    /// Decides about a header block of one frame.
    fn judge(&mut self, head: &FrameHead, payload: &[u8]) -> Verdict {
        match frame::fragment(head, payload) {
            Some(fragment) => {
                let block = payload.get(fragment.range).unwrap_or_default();
                self.judge_block(head, block, fragment.depends_on_itself)
            }
            None => Verdict::End(Reason::Protocol),
        }
    }

    fn judge_block(&mut self, head: &FrameHead, bytes: &[u8], depends_on_itself: bool) -> Verdict {
        // Streams are numbered in ascending order (RFC 9113 section 5.1.1).
        let role = if head.stream > self.last_stream { Role::Request } else { Role::Trailers };
        self.last_stream = self.last_stream.max(head.stream);
        let mut block = Block::new(role, self.max_list, mem::take(&mut self.memory));
        match self.decoder.decode(bytes, |name, value| block.add(name, value)) {
            Err(_) => return Verdict::End(Reason::Protocol),
            Ok(flow) if flow.is_break() => return Verdict::End(Reason::Calm),
            Ok(_) => {}
        }
        if depends_on_itself {
            block.fail(Fault::Dependency);
        }
        block.end(head.has(flag::END_STREAM));
        self.rewrites |= !block.is_fine();
        if self.rewrites {
            return Verdict::Rewritten(block.rewrite(&self.token));
        }
        self.memory = block.into_memory();
        if self.memory.capacity() > KEPT {
            self.memory = Vec::new();
        }
        Verdict::Pass
    }

    /// Writes what h2 gets instead of a header block that began with `head`.
    fn replace(&mut self, head: &FrameHead, verdict: Verdict) {
        let fields = match verdict {
            Verdict::Rewritten(fields) => fields,
            Verdict::End(reason) => return self.end(reason),
            Verdict::Pass => return,
        };
        let mut rest = &fields[..];
        let (mut kind, mut flags) = (kind::HEADERS, head.flags & flag::END_STREAM);
        loop {
            let (part, after) = rest.split_at(rest.len().min(MAX_PAYLOAD));
            if after.is_empty() {
                flags |= flag::END_HEADERS;
            }
            FrameHead { length: part.len(), kind, flags, stream: head.stream }.write(&mut self.out);
            self.out.extend_from_slice(part);
            if after.is_empty() {
                return;
            }
            (kind, flags, rest) = (kind::CONTINUATION, 0, after);
        }
    }

    /// Ends the connection: h2 gets an error for which it sends GOAWAY, and nothing more of the client.
    fn end(&mut self, reason: Reason) {
        self.state = State::Ended;
        self.held = Vec::new();
        let head = |kind, flags, length| FrameHead { length, kind, flags, stream: 1 };
        match reason {
            Reason::Protocol => {
                head(kind::HEADERS, flag::END_HEADERS, 1).write(&mut self.out);
                // Index 0 is an error of compression, as which h2 reports `PROTOCOL_ERROR`.
                self.out.push(0x80);
            }
            Reason::Calm => {
                head(kind::HEADERS, 0, 0).write(&mut self.out);
                for _ in 0..=max_continuations(self.max_list) {
                    head(kind::CONTINUATION, 0, 0).write(&mut self.out);
                }
            }
        }
    }
}

/// Returns the first bytes of `held` and `rest`, if there are enough for the head of a frame.
fn first(held: &[u8], rest: &[u8]) -> Option<[u8; HEAD]> {
    let mut bytes = [0; HEAD];
    let mut both = held.iter().chain(rest);
    for byte in &mut bytes {
        *byte = *both.next()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
