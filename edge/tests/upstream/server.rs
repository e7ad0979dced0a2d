//! A server for health checks, whose behaviour a test sets.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use edge::config::Source;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, spawn_local},
};

use crate::settings::DEADLINE;

/// What an [`Upstream`] does with a connection.
#[derive(Clone, Copy)]
pub(crate) enum Behaviour {
    /// Responds with these bytes.
    Answer(&'static str),
    /// Responds with these bytes and closes.
    AnswerAndClose(&'static str),
    /// Reads and does not respond.
    Hang,
    /// Closes after reading the request.
    Close,
}

pub(crate) const OK: Behaviour = Behaviour::Answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
pub(crate) const UNAVAILABLE: Behaviour =
    Behaviour::Answer("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
pub(crate) const ENDLESS: Behaviour = Behaviour::Answer("HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n");

/// A server on loopback; it stops listening when dropped.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    /// The last request.
    pub(crate) requested: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Upstream {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), behaviour)
    }

    pub(crate) fn serve(listener: TcpListener, behaviour: Behaviour) -> Self {
        let address = listener.local_addr().unwrap();
        let (behaviour, requested) = (Arc::new(Mutex::new(behaviour)), Arc::default());
        let (its_behaviour, its_requested) = (Arc::clone(&behaviour), Arc::clone(&requested));
        let task = spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let behaviour = *its_behaviour.lock().unwrap();
                spawn_local(respond(stream, behaviour, Arc::clone(&its_requested)));
            }
        });
        Self { address, behaviour, requested, task }
    }

    pub(crate) fn source(&self) -> Source {
        Source::Address(self.address)
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens again on an address, as soon as no other connection of this host uses its port.
pub(crate) async fn bind_again(address: SocketAddr) -> TcpListener {
    let bind = async {
        loop {
            match TcpListener::bind(address).await {
                Ok(listener) => return listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(DEADLINE, bind).await.unwrap()
}

async fn respond(mut stream: TcpStream, behaviour: Behaviour, requested: Arc<Mutex<String>>) {
    let mut head = [0; 4096];
    let read = stream.read(&mut head).await.unwrap_or(0);
    *requested.lock().unwrap() = String::from_utf8_lossy(&head[..read]).into_owned();
    match behaviour {
        Behaviour::Close => {}
        Behaviour::AnswerAndClose(bytes) => drop(stream.write_all(bytes.as_bytes()).await),
        // The health check closes the connection when it gives up.
        Behaviour::Hang => drop(stream.read(&mut head).await),
        Behaviour::Answer(bytes) => {
            drop(stream.write_all(bytes.as_bytes()).await);
            drop(stream.read(&mut head).await);
        }
    }
}
