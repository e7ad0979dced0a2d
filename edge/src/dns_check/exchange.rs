//! Sends one query to one name server: over UDP, and over TCP if the answer is truncated (RFC 1035 section 4.2,
//! RFC 7766).
//!
//! A resolver library hides what a report must tell apart. On a connected socket the kernel reports that no program
//! listens on the port, and the bit TC shows that an answer is missing only because TCP is blocked.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_resolver::proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::{Instant, timeout_at},
};

/// The largest datagram to accept, in bytes: larger ones are fragmented on common networks (DNS flag day 2020).
const MAX_DATAGRAM: u16 = 1232;

/// How long to wait for an answer before the datagram is sent again.
const RETRANSMIT: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// None within the time limit.
    Timeout,
    /// The machine reports that no program listens on the port.
    Closed,
    /// The answer is too long for a datagram, and TCP fails; the cause.
    Truncated(String),
    /// Another error.
    Failed(String),
}

/// Returns the answer of a name server, which may be an error code.
pub(super) async fn ask(
    server: SocketAddr,
    name: &Name,
    record_type: RecordType,
    deadline: Instant,
) -> Result<Message, Fault> {
    let mut query = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name.clone(), record_type));
    let mut edns = Edns::new();
    edns.set_max_payload(MAX_DATAGRAM);
    query.set_edns(edns);
    let bytes = query.to_vec().map_err(|error| Fault::Failed(error.to_string()))?;
    let answer = over_udp(server, &query, &bytes, deadline).await?;
    if !answer.metadata.truncation {
        return Ok(answer);
    }
    match timeout_at(deadline, over_tcp(server, &query, &bytes)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Fault::Truncated(words(&error))),
        Err(_) => Err(Fault::Truncated("no answer within the time limit".to_owned())),
    }
}

async fn over_udp(server: SocketAddr, query: &Message, bytes: &[u8], deadline: Instant) -> Result<Message, Fault> {
    let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.map_err(|error| fault(&error))?;
    socket.connect(server).await.map_err(|error| fault(&error))?;
    // Some servers send more than they were asked to.
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let mut none = Fault::Timeout;
    while Instant::now() < deadline {
        socket.send(bytes).await.map_err(|error| fault(&error))?;
        let until = deadline.min(Instant::now() + RETRANSMIT);
        while let Ok(received) = timeout_at(until, socket.recv(&mut buffer)).await {
            let size = received.map_err(|error| fault(&error))?;
            match Message::from_vec(buffer.get(..size).unwrap_or_default()) {
                Ok(answer) if answers(&answer, query) => return Ok(answer),
                // An answer to an earlier query of another program on this port.
                Ok(_) => {}
                Err(_) => none = Fault::Failed("the answer is not a DNS message".to_owned()),
            }
        }
    }
    Err(none)
}

async fn over_tcp(server: SocketAddr, query: &Message, bytes: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let size = u16::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&size.to_be_bytes()[..], bytes].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    let answer = Message::from_vec(&answer).map_err(|_| io::ErrorKind::InvalidData)?;
    if answers(&answer, query) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Whether a message is the answer to a query. Servers that report an error may leave the question out.
fn answers(answer: &Message, query: &Message) -> bool {
    let is_response = answer.metadata.message_type == MessageType::Response && answer.metadata.id == query.metadata.id;
    let same =
        |one: &Query, other: &Query| one.query_type() == other.query_type() && one.name().eq_ignore_root(other.name());
    let is_same_question = match (answer.queries.first(), query.queries.first()) {
        (Some(one), Some(other)) => same(one, other),
        _ => answer.answers.is_empty(),
    };
    is_response && is_same_question
}

fn fault(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fault::Closed,
        _ => Fault::Failed(words(error)),
    }
}

/// Returns the error without its number.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the connection was closed without an answer".to_owned(),
        io::ErrorKind::InvalidData => "the answer is not a DNS message".to_owned(),
        kind => kind.to_string(),
    }
}
