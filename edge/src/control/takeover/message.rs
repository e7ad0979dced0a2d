//! The messages of a takeover: lines of text, some of which carry a file.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::SocketAddr,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::{
    cmsg_space,
    io::retry_on_intr,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};

/// The version of the protocol. An edge with another one is refused, and must be stopped first.
pub(super) const PROTOCOL: u32 = 1;
/// The longest line.
pub(super) const MAX_LINE: usize = 256;
/// The most messages that one side sends: a socket for each worker and address, and some.
pub(super) const MAX_MESSAGES: usize = 65_536;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The new edge introduces itself with its version of the protocol.
    Hello(u32),
    /// A listening socket with this address, which comes with it as a file.
    Socket(SocketAddr),
    /// The Unix socket on which takeovers are offered, which comes with it as a file.
    Channel,
    /// All sockets were sent.
    End,
    /// The old edge gives nothing, for this reason.
    Refused(String),
    /// The new edge serves this address from now on.
    Serves(SocketAddr),
    /// The new edge can serve.
    Ready,
    /// The old edge accepts no more connections.
    Yours,
    /// The new edge took too long, so the old one goes on.
    Expired,
}

impl Message {
    /// Returns the bytes to send.
    pub(super) fn line(&self) -> Vec<u8> {
        format!("{self}\n").into_bytes()
    }

    /// Parses a line without its end.
    pub(super) fn parse(line: &[u8]) -> io::Result<Self> {
        let text = String::from_utf8_lossy(line);
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let message = match word {
            "edge-takeover" => rest.parse().ok().map(Self::Hello),
            "socket" => rest.parse().ok().map(Self::Socket),
            "serves" => rest.parse().ok().map(Self::Serves),
            "refused" => Some(Self::Refused(rest.to_owned())),
            "channel" => Some(Self::Channel),
            "end" => Some(Self::End),
            "ready" => Some(Self::Ready),
            "yours" => Some(Self::Yours),
            "expired" => Some(Self::Expired),
            _ => None,
        };
        message.ok_or_else(|| unexpected(&text))
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello(version) => write!(f, "edge-takeover {version}"),
            Self::Socket(address) => write!(f, "socket {address}"),
            Self::Serves(address) => write!(f, "serves {address}"),
            Self::Refused(reason) => write!(f, "refused {reason}"),
            Self::Channel => f.write_str("channel"),
            Self::End => f.write_str("end"),
            Self::Ready => f.write_str("ready"),
            Self::Yours => f.write_str("yours"),
            Self::Expired => f.write_str("expired"),
        }
    }
}

/// The error for a message that does not belong here.
pub(super) fn unexpected(what: &dyn fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("unexpected message {:?}", what.to_string()))
}

/// Sends bytes with a file. Returns how many bytes were sent, like `write`; the file goes with the first.
pub(super) fn send(stream: BorrowedFd<'_>, bytes: &[u8], file: BorrowedFd<'_>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [file];
    if !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Reads messages and their files from a blocking stream.
#[derive(Debug)]
pub(super) struct Receiver<'a> {
    stream: &'a UnixStream,
    bytes: Vec<u8>,
    /// Files that came, in the order of their messages.
    files: VecDeque<OwnedFd>,
}

impl<'a> Receiver<'a> {
    /// Reads from this stream.
    pub(super) fn new(stream: &'a UnixStream) -> Self {
        Self { stream, bytes: Vec::new(), files: VecDeque::new() }
    }

    /// Returns the next message; `None` if the other side closed the stream.
    pub(super) fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).take(end).collect();
                return Message::parse(&line).map(Some);
            }
            if self.bytes.len() > MAX_LINE {
                return Err(unexpected(&"a long line"));
            }
            if !self.receive()? {
                return Ok(None);
            }
        }
    }

    /// Returns the file of the message that was read last, if it is one with a file.
    pub(super) fn file(&mut self) -> Option<OwnedFd> {
        self.files.pop_front()
    }

    /// Receives some bytes; returns false at the end.
    fn receive(&mut self) -> io::Result<bool> {
        // A read ends after the first message with a file. The room for more is for a peer that sends several at once.
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(16))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffer = [0; MAX_LINE];
        // The kernel repeats no call on a socket that has a timeout (signal(7)), and SIGHUP is no reason to fail.
        let got = retry_on_intr(|| {
            recvmsg(self.stream, &mut [IoSliceMut::new(&mut buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)
        })?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                self.files.extend(files);
            }
        }
        if got.flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::other("a file was lost: too many files are open"));
        }
        self.bytes.extend_from_slice(buffer.get(..got.bytes).unwrap_or_default());
        Ok(got.bytes > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::fd::AsFd};

    use super::*;

    #[test]
    fn every_message_is_read_as_it_was_written() {
        let address: SocketAddr = "[::1]:80".parse().unwrap();
        let messages = [
            Message::Hello(7),
            Message::Socket(address),
            Message::Serves(address),
            Message::Refused("no such thing".to_owned()),
            Message::Channel,
            Message::End,
            Message::Ready,
            Message::Yours,
            Message::Expired,
        ];
        for message in messages {
            let line = message.line();
            assert_eq!(Message::parse(line.strip_suffix(b"\n").unwrap()).unwrap(), message);
        }
        for line in ["", "edge-takeover", "edge-takeover x", "socket here", "GET / HTTP/1.1", "Ready"] {
            assert!(Message::parse(line.as_bytes()).unwrap_err().to_string().contains("unexpected"), "{line}");
        }
    }

    #[test]
    fn files_arrive_with_their_messages_even_if_all_are_read_late() {
        let (sender, receiver) = UnixStream::pair().unwrap();
        let sockets = [(); 20].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        for socket in &sockets {
            let line = Message::Socket(socket.local_addr().unwrap()).line();
            assert_eq!(send(sender.as_fd(), &line, socket.as_fd()).unwrap(), line.len());
        }
        (&sender).write_all(&Message::End.line()).unwrap();
        drop(sender);
        let mut messages = Receiver::new(&receiver);
        for socket in sockets {
            assert_eq!(messages.next().unwrap(), Some(Message::Socket(socket.local_addr().unwrap())));
            let received = std::net::TcpListener::from(messages.file().unwrap());
            assert_eq!(received.local_addr().unwrap(), socket.local_addr().unwrap());
        }
        assert_eq!(messages.next().unwrap(), Some(Message::End));
        assert_eq!(messages.next().unwrap(), None);
    }

    #[test]
    fn a_line_without_an_end_is_an_error_and_a_file_that_did_not_come_is_none() {
        let (mut sender, receiver) = UnixStream::pair().unwrap();
        sender.write_all(b"channel\n").unwrap();
        sender.write_all(&[b'x'; 2 * MAX_LINE]).unwrap();
        let mut messages = Receiver::new(&receiver);
        assert_eq!(messages.next().unwrap(), Some(Message::Channel));
        assert!(messages.file().is_none());
        assert_eq!(messages.next().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
