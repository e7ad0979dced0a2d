//! A TCP relay in front of a server. Its connections use a [`Wire`], which a test can delay, silence or reset, and
//! which can lose the server's replies.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::wait::pause;

/// The state of a link between two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Bytes pass.
    Open,
    /// Bytes are delayed by at least this duration in each direction.
    Slow(Duration),
    /// No byte passes, and neither side is notified.
    Silent,
    /// Open and new connections are reset.
    Reset,
}

/// The path of connections. Clones share its state.
#[derive(Clone, Debug)]
pub struct Wire {
    link: watch::Sender<State>,
    replies: watch::Sender<Replies>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    link: Link,
    /// The number of resets, so that connections notice even a brief one.
    resets: u64,
}

/// What happens to the server's replies.
#[derive(Clone, Copy, Debug, Default)]
struct Replies {
    delivery: Delivery,
    /// The number of replies that [`Wire::lose_next_reply`] has lost.
    lost: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Delivery {
    #[default]
    All,
    /// Replies are lost until this changes. Then the connections that lost some are reset.
    None,
    /// The next reply is lost, and its connection closes.
    AllButNext,
}

impl Wire {
    /// Creates an open wire that delivers replies.
    #[must_use]
    pub fn new() -> Self {
        let open = State { link: Link::Open, resets: 0 };
        Self { link: watch::Sender::new(open), replies: watch::Sender::default() }
    }

    /// Combines the link of this wire with the replies of another.
    #[must_use]
    pub fn with_replies_of(&self, other: &Self) -> Self {
        Self { link: self.link.clone(), replies: other.replies.clone() }
    }

    /// Sets the link's state, also for open connections.
    pub fn set(&self, link: Link) {
        self.link.send_modify(|state| {
            state.link = link;
            state.resets += u64::from(link == Link::Reset);
        });
    }

    /// Loses all replies from now on.
    pub fn lose_replies(&self) {
        self.replies.send_modify(|replies| replies.delivery = Delivery::None);
    }

    /// Delivers replies again, and resets the connections that lost some.
    pub fn deliver_replies(&self) {
        self.replies.send_modify(|replies| replies.delivery = Delivery::All);
    }

    /// Loses the next reply and closes its connection.
    pub fn lose_next_reply(&self) {
        self.replies.send_modify(|replies| replies.delivery = Delivery::AllButNext);
    }

    /// Returns the number of replies that [`lose_next_reply`](Self::lose_next_reply) has lost.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.replies.borrow().lost
    }

    /// Returns whether this reply must be lost because it is the next one, and records the loss.
    fn loses_this_reply(&self) -> bool {
        self.replies.send_if_modified(|replies| {
            let loses = replies.delivery == Delivery::AllButNext;
            if loses {
                *replies = Replies { delivery: Delivery::All, lost: replies.lost + 1 };
            }
            loses
        })
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

/// A relay. Dropping it closes the port and all connections.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Relay {
    /// Starts a relay on a free port of 127.0.0.1. All its connections to `server` use `wire`.
    ///
    /// # Panics
    /// If no port can be bound.
    pub async fn start(server: SocketAddr, wire: &Wire) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let wire = wire.clone();
        Self::on(listener, server, move |_client, _relay| std::future::ready(Some(wire.clone())))
    }

    /// Starts a relay on `listener`. `choose` receives a connection's addresses, the client's and the relay's, and
    /// returns its wire; a connection without a wire is reset.
    ///
    /// # Panics
    /// If the listener has no address.
    pub fn on<F>(
        listener: TcpListener,
        server: SocketAddr,
        choose: impl Fn(SocketAddr, SocketAddr) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Option<Wire>> + Send + 'static,
    {
        let address = listener.local_addr().expect("a bound socket");
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((client, peer)) => {
                            let wire = choose(peer, client.local_addr().unwrap_or(address));
                            connections.spawn(carry(client, server, wire));
                        }
                        // The process has no free file descriptor until a connection ends.
                        Err(_) => pause(Duration::from_millis(10)).await,
                    },
                    Some(_ended) = connections.join_next() => {}
                }
            }
        });
        Self { address, task }
    }

    /// Returns the address that the relay listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, wire: impl Future<Output = Option<Wire>>) {
    let Some(wire) = wire.await else {
        reset(&client);
        return;
    };
    let connected = tokio::select! {
        () = until_reset(&wire) => None,
        connected = async {
            passes(&wire).await;
            TcpStream::connect(server).await
        } => connected.ok(),
    };
    let Some(mut server) = connected else {
        // The server does not listen, or the link was reset. The relay has accepted, so it can no longer refuse.
        reset(&client);
        return;
    };
    if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
        return;
    }
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            () = until_reset(&wire) => End::Reset,
            end = pump(from_client, to_server, &wire, Direction::Request) => end,
            end = pump(from_server, to_client, &wire, Direction::Reply) => end,
        }
    };
    // Redis and its clients use no half-closed connections: when one direction ends, both do.
    if end == End::Reset {
        reset(&client);
        reset(&server);
    }
}

#[derive(PartialEq, Eq)]
enum End {
    Closed,
    Reset,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Reply,
}

/// Copies bytes in one direction until it ends.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    wire: &Wire,
    direction: Direction,
) -> End {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        let is_reply = direction == Direction::Reply && matches!(read, Ok(1..));
        if is_reply && wire.loses_this_reply() {
            return End::Closed;
        }
        if is_reply && wire.replies.borrow().delivery == Delivery::None {
            // The connection cannot continue without this reply.
            until_delivered(wire).await;
            return End::Reset;
        }
        // A silent link also hides the end of a connection.
        passes(wire).await;
        match read {
            Ok(0) => return End::Closed,
            Ok(size) if to.write_all(&buffer[..size]).await.is_ok() => {}
            Ok(_) | Err(_) => return End::Reset,
        }
    }
}

/// Waits until the link is open, and for its delay.
async fn passes(wire: &Wire) {
    let passes = |state: &State| matches!(state.link, Link::Open | Link::Slow(_));
    let delay = match wire.link.subscribe().wait_for(passes).await.as_deref() {
        Ok(State { link: Link::Slow(delay), .. }) => *delay,
        _ => return,
    };
    pause(delay).await;
}

async fn until_reset(wire: &Wire) {
    let mut link = wire.link.subscribe();
    let before = link.borrow().resets;
    changes(link.wait_for(|state| state.link == Link::Reset || state.resets != before).await);
}

async fn until_delivered(wire: &Wire) {
    changes(wire.replies.subscribe().wait_for(|replies| replies.delivery != Delivery::None).await);
}

/// Ignores the error of a wait: the caller holds the wire, so its sender exists.
fn changes<T>(_waited: Result<T, watch::error::RecvError>) {}

/// Makes the close that follows a reset (RST).
fn reset(stream: &TcpStream) {
    // Fails on a closed stream.
    stream.set_zero_linger().unwrap_or(());
}
