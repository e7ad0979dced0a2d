//! `/api/events`: a whole cluster state, then what changes, as server-sent events (WHATWG HTML, section 9.2).

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Interval, MissedTickBehavior, interval},
};

use super::{
    Web,
    response::{self, Response},
};
use crate::{
    engine,
    hub::{Feed, Version},
    metrics::{Gauged, Metrics},
};

/// How often something is sent, whether there is news or not.
const BEAT: Duration = Duration::from_secs(5);

impl Web {
    pub(super) fn events<B>(&self, request: &Request<B>) -> Response {
        if self.is_stopping() {
            return response::later("stopping\n");
        }
        let Ok(permit) = self.streams.clone().try_acquire_owned() else {
            Metrics::turn_away(&self.metrics);
            return response::later("as many are watching as may at once\n");
        };
        let known = request.headers().get("last-event-id").and_then(|id| version(id, self.feed.instance()));
        let known = known.filter(|version| *version <= self.feed.now().number);
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let reader = Reader {
            feed: self.feed.clone(),
            versions: self.feed.versions(),
            stopping: self.stopping.subscribe(),
            beats,
            has: known,
            frames: VecDeque::from([Bytes::from_static(b"retry: 1000\n\n")]),
            _permit: permit,
            _counted: Metrics::streaming(&self.metrics),
        };
        let mut response = if request.method() == Method::HEAD {
            response::text(StatusCode::OK, "")
        } else {
            let frames = stream::unfold(reader, |mut reader| async move {
                let frame = reader.next().await?;
                Some((Ok::<_, Infallible>(Frame::data(frame)), reader))
            });
            Response::new(StreamBody::new(frames).boxed_unsync())
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        // nginx would otherwise gather what is sent.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

/// The version that an id of this process stands for.
fn version(id: &HeaderValue, instance: &str) -> Option<u64> {
    id.to_str().ok()?.strip_prefix(instance)?.strip_prefix('-')?.parse().ok()
}

/// One client, and what it has.
struct Reader {
    feed: Arc<Feed>,
    versions: watch::Receiver<Arc<Version>>,
    stopping: watch::Receiver<bool>,
    beats: Interval,
    /// The version of the cluster state that it has, once it has one.
    has: Option<u64>,
    /// To be sent next. Filled only when it is empty, so that it holds what one client was behind.
    frames: VecDeque<Bytes>,
    _permit: OwnedSemaphorePermit,
    _counted: Gauged,
}

impl Reader {
    /// What to send next; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if *self.stopping.borrow_and_update() {
                return None;
            }
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            let newest = self.versions.borrow_and_update().clone();
            // It may have a delta that leads to a cluster state which is about to be published.
            if self.has.is_none_or(|has| has < newest.number) {
                self.catch_up(&newest);
                continue;
            }
            tokio::select! {
                changed = self.versions.changed() => changed.ok()?,
                changed = self.stopping.changed() => changed.ok()?,
                _ = self.beats.tick() => {
                    return Some(Bytes::from(format!("event: beat\ndata: {{\"now\":{}}}\n\n", engine::now())));
                }
            }
        }
    }

    fn catch_up(&mut self, newest: &Version) {
        let instance = self.feed.instance();
        match self.has.and_then(|version| self.feed.since(version)).filter(|deltas| !deltas.is_empty()) {
            Some(deltas) => {
                self.has = deltas.last().map(|delta| delta.version);
                self.frames.extend(deltas.iter().map(|delta| frame(instance, delta.version, "delta", &delta.json)));
            }
            None => {
                self.has = Some(newest.number);
                self.frames.push_back(frame(instance, newest.number, "snapshot", &newest.json()));
            }
        }
    }
}

/// JSON has no line ends of its own.
fn frame(instance: &str, version: u64, event: &str, json: &[u8]) -> Bytes {
    let head = format!("id: {instance}-{version}\nevent: {event}\ndata: ");
    [head.as_bytes(), json, b"\n\n"].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_of_this_process_is_known() {
        for (id, expected) in
            [("abc-7", Some(7)), ("abc-", None), ("abc7", None), ("abd-7", None), ("abc-x", None), ("", None)]
        {
            assert_eq!(version(&HeaderValue::from_static(id), "abc"), expected, "{id}");
        }
    }
}
