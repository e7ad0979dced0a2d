//! The connection to the browser: commands with numbers, answers with the same numbers, and events.

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

/// A screenshot of a wall takes a while on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The connection; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    socket: AsyncMutex<SplitSink<Socket, Message>>,
    next: AtomicU64,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    /// Who waits for which answer.
    waiting: HashMap<u64, oneshot::Sender<Value>>,
    /// Events by session, in order.
    events: HashMap<String, Vec<Value>>,
}

impl Link {
    pub(super) async fn open(address: &str) -> Self {
        // A cluster state of a large screen is one message.
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let connection = tokio_tungstenite::connect_async_with_config(address, Some(config), true).await;
        let (socket, _) = connection.expect("the browser's own port");
        let (sink, mut stream) = socket.split();
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let listener = heard.clone();
        tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                let Ok(text) = message.to_text() else { continue };
                let Ok(value) = serde_json::from_str::<Value>(text) else { continue };
                lock(&listener).take(value);
            }
        });
        Self { shared: Arc::new(Shared { socket: AsyncMutex::new(sink), next: AtomicU64::new(1), heard }) }
    }

    /// Sends a command and waits for its answer.
    pub(super) async fn call(&self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        lock(&self.shared.heard).waiting.insert(id, sender);
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let message = Message::text(command.to_string());
        self.shared.socket.lock().await.send(message).await.expect("the browser listens");
        let mut answer = deadline(method, PATIENCE, answer).await.expect("the browser runs");
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].take()
    }

    /// Events of a session so far whose method is one of these.
    pub(super) fn events(&self, session: &str, methods: &[&str]) -> Vec<Value> {
        let heard = lock(&self.shared.heard);
        let events = heard.events.get(session).map(Vec::as_slice).unwrap_or_default();
        events.iter().filter(|event| methods.iter().any(|method| event["method"] == *method)).cloned().collect()
    }

    /// Forgets the events of a session.
    pub(super) fn forget(&self, session: &str) {
        lock(&self.shared.heard).events.remove(session);
    }
}

impl Heard {
    fn take(&mut self, value: Value) {
        if let Some(sender) = value["id"].as_u64().and_then(|id| self.waiting.remove(&id)) {
            // Nobody waits any more where a test has given up.
            let _given_up = sender.send(value);
        } else if let Some(session) = value["sessionId"].as_str() {
            self.events.entry(session.to_owned()).or_default().push(value);
        }
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
