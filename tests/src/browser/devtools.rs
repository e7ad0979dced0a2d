//! The connection to the browser: numbered commands, their responses, and events.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::wait::deadline;

/// The time limit for a command. A screenshot of a wall screen takes a while on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct DevTools {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    socket: AsyncMutex<SplitSink<Socket, Message>>,
    next: AtomicU64,
    received: Arc<Mutex<Received>>,
}

#[derive(Debug, Default)]
struct Received {
    /// The callers that wait for a response, by command number.
    waiting: HashMap<u64, oneshot::Sender<Value>>,
    /// Events by session, in order.
    events: HashMap<String, Vec<Value>>,
}

impl DevTools {
    pub(super) async fn open(address: &str) -> Self {
        // A screenshot of a large screen is one message.
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let connection = tokio_tungstenite::connect_async_with_config(address, Some(config), true).await;
        let (socket, _) = connection.expect("the browser's own port");
        let (sink, mut stream) = socket.split();
        let received: Arc<Mutex<Received>> = Arc::default();
        let listener = received.clone();
        tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                let Ok(text) = message.to_text() else { continue };
                let Ok(value) = serde_json::from_str::<Value>(text) else { continue };
                lock(&listener).add(value);
            }
        });
        Self { shared: Arc::new(Shared { socket: AsyncMutex::new(sink), next: AtomicU64::new(1), received }) }
    }

    /// Sends a command and waits for its response.
    pub(super) async fn call(&self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        lock(&self.shared.received).waiting.insert(id, sender);
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let message = Message::text(command.to_string());
        self.shared.socket.lock().await.send(message).await.expect("the browser listens");
        let mut answer = deadline(method, TIMEOUT, answer).await.expect("the browser runs");
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].take()
    }

    /// Returns the events so far of a session with one of these methods.
    pub(super) fn events(&self, session: &str, methods: &[&str]) -> Vec<Value> {
        let received = lock(&self.shared.received);
        let events = received.events.get(session).map(Vec::as_slice).unwrap_or_default();
        events.iter().filter(|event| methods.iter().any(|method| event["method"] == *method)).cloned().collect()
    }

    /// Drops the events of a session.
    pub(super) fn forget(&self, session: &str) {
        lock(&self.shared.received).events.remove(session);
    }
}

impl Received {
    fn add(&mut self, value: Value) {
        if let Some(sender) = value["id"].as_u64().and_then(|id| self.waiting.remove(&id)) {
            // Fails if the caller no longer waits.
            let _closed = sender.send(value);
        } else if let Some(session) = value["sessionId"].as_str() {
            self.events.entry(session.to_owned()).or_default().push(value);
        }
    }
}

fn lock(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}
