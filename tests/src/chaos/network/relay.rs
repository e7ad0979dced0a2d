//! One relay: TCP connections to one server, as good or bad as the link they are on.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::{Kind, Link, Network, State};
use crate::wait::pause;

/// Dropping it closes the port and all connections.
#[derive(Debug)]
pub struct Relay {
    task: JoinHandle<()>,
}

impl Relay {
    pub(super) fn start(network: Network, listener: TcpListener, server: (usize, Kind), to: SocketAddr) -> Self {
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((client, peer)) = accepted else {
                            // Out of files: what is open will end.
                            pause(Duration::from_millis(10)).await;
                            continue;
                        };
                        connections.spawn(carry(network.clone(), client, peer, server, to));
                    }
                    Some(_ended) = connections.join_next() => {}
                }
            }
        });
        Self { task }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(network: Network, client: TcpStream, peer: SocketAddr, (host, kind): (usize, Kind), to: SocketAddr) {
    let from = match client.local_addr() {
        Ok(local) => network.owner(peer, local).await,
        Err(_) => None,
    };
    let Some((source, whose)) = from else {
        reset(&client);
        return;
    };
    let mut link = network.link(source, host);
    let server = tokio::select! {
        () = until_reset(link.clone()) => None,
        server = async {
            passes(&mut link).await;
            TcpStream::connect(to).await
        } => server.ok(),
    };
    let Some(mut server) = server else {
        // Nobody listens there, or the link was cut: the relay's own end cannot refuse any more.
        reset(&client);
        return;
    };
    let mut client = client;
    if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
        return;
    }
    let ended = {
        let mute = (whose == Kind::App && kind == Kind::Redis).then(|| network.muted());
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            () = until_reset(link.clone()) => End::Reset,
            end = pump(from_client, to_server, link.clone(), None) => end,
            end = pump(from_server, to_client, link, mute.map(|mute| (host, mute))) => end,
        }
    };
    // Neither Redis nor its clients use half a connection: when one direction ends, both do.
    if ended == End::Reset {
        reset(&client);
        reset(&server);
    }
}

#[derive(PartialEq, Eq)]
enum End {
    Closed,
    Reset,
}

/// Bytes in one direction, until that ends.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut link: watch::Receiver<State>,
    mut mute: Option<(usize, watch::Receiver<Option<usize>>)>,
) -> End {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let size = match from.read(&mut buffer).await {
            Ok(0) => {
                // The end of a connection is not heard of through a link that is silent, either.
                passes(&mut link).await;
                return End::Closed;
            }
            Ok(size) => size,
            Err(_) => {
                passes(&mut link).await;
                return End::Reset;
            }
        };
        if let Some((host, mute)) = &mut mute
            && *mute.borrow() == Some(*host)
        {
            // Lost, and so is the order of whatever comes after.
            return match mute.wait_for(|muted| *muted != Some(*host)).await {
                Ok(_) | Err(_) => End::Reset,
            };
        }
        passes(&mut link).await;
        if to.write_all(&buffer[..size]).await.is_err() {
            return End::Reset;
        }
    }
}

/// Returns when the link lets pass what waits, after its delay.
async fn passes(link: &mut watch::Receiver<State>) {
    // An error means that the network is gone, and this task with it.
    let passes = |state: &State| matches!(state.link, Link::Open | Link::Slow(_));
    let delay = match link.wait_for(passes).await.as_deref() {
        Ok(State { link: Link::Slow(delay), .. }) => *delay,
        _ => return,
    };
    pause(delay).await;
}

async fn until_reset(mut link: watch::Receiver<State>) {
    let before = link.borrow().resets;
    let gone = link.wait_for(|state| state.link == Link::Reset || state.resets != before).await.is_err();
    if gone {
        std::future::pending::<()>().await;
    }
}

/// Makes the close that follows a reset.
fn reset(stream: &TcpStream) {
    // A stream that cannot be reset any more is closed already.
    stream.set_zero_linger().unwrap_or(());
}
