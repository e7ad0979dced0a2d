//! The lower bound: a TCP relay that does not parse HTTP. It has one runtime per thread, and one upstream connection
//! per downstream connection. A small request costs two reads and two writes, which no proxy can avoid.

use std::{
    net::{SocketAddr, SocketAddrV4},
    thread,
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime,
    task::LocalSet,
};

use crate::{args::Relay, port};

/// Relays until the process is terminated.
pub(crate) fn run(args: &Relay) -> Result<()> {
    let mut threads = Vec::new();
    for _ in 0..args.workers.max(1) {
        let (address, to) = (args.listen, args.to.clone());
        threads.push(thread::spawn(move || worker(address, &to)));
    }
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
    }
    Ok(())
}

fn worker(address: SocketAddrV4, to: &[SocketAddr]) -> Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = port::listener(*address.ip(), address.port())?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let mut next = to.iter().cycle();
        loop {
            let (downstream, _) = listener.accept().await?;
            let to = *next.next().context("no endpoint is given")?;
            tokio::task::spawn_local(async move { relay(downstream, to).await.ok() });
        }
    })
}

/// Relays in lockstep: a request, then its response. This suffices for messages that arrive in one read.
async fn relay(mut downstream: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let mut upstream = TcpStream::connect(to).await?;
    downstream.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = downstream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        upstream.write_all(&buffer[..length]).await?;
        let length = upstream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        downstream.write_all(&buffer[..length]).await?;
    }
}
