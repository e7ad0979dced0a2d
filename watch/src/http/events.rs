//! `/api/events`: a snapshot of the cluster state and then its changes, as server-sent events (WHATWG HTML,
//! section 9.2).

use std::{collections::VecDeque, convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{
    quota::{Exceeded, Permit},
    response::{self, Response},
    web::Web,
};
use crate::{
    clock,
    hub::{Feed, Version},
    metrics::{Metrics, OpenStream},
};

/// Interval of the `beat` events, which keep the connection alive.
const BEAT_INTERVAL: Duration = Duration::from_secs(5);

impl Web {
    pub(super) fn events<B>(&self, request: &Request<B>, client: IpAddr) -> Response {
        if self.is_stopping() {
            return response::unavailable("stopping\n");
        }
        let permit = match self.streams.open(client) {
            Ok(permit) => permit,
            Err(exceeded) => {
                self.metrics.count_refused_stream();
                return match exceeded {
                    Exceeded::Total => response::unavailable("the maximum number of event streams is open\n"),
                    Exceeded::Client => response::too_many(
                        "too many event streams are open from this address: close some, or raise \
                         --max-streams-per-client (WATCH_MAX_STREAMS_PER_CLIENT)\n",
                    ),
                };
            }
        };
        let known = request.headers().get("last-event-id").and_then(|id| version(id, self.feed.instance()));
        let known = known.filter(|version| *version <= self.feed.now().number);
        let mut beats = interval(BEAT_INTERVAL);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let reader = Reader {
            feed: self.feed.clone(),
            versions: self.feed.versions(),
            stopping: self.stopping.subscribe(),
            beats,
            sent: known,
            frames: VecDeque::from([Bytes::from_static(b"retry: 1000\n\n")]),
            _permit: permit,
            _counted: Metrics::open_stream(&self.metrics),
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
        // Disables buffering in nginx.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

/// Parses an event id of this process into its version.
fn version(id: &HeaderValue, instance: &str) -> Option<u64> {
    id.to_str().ok()?.strip_prefix(instance)?.strip_prefix('-')?.parse().ok()
}

/// One stream, and the version that its client has.
struct Reader {
    feed: Arc<Feed>,
    versions: watch::Receiver<Arc<Version>>,
    stopping: watch::Receiver<bool>,
    beats: Interval,
    /// The version last sent; `None` before the first snapshot.
    sent: Option<u64>,
    /// Frames to send next. Filled only when empty, so it is bounded by what one client missed.
    frames: VecDeque<Bytes>,
    _permit: Permit,
    _counted: OpenStream,
}

impl Reader {
    /// Returns the next frame; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if *self.stopping.borrow_and_update() {
                return None;
            }
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            let newest = self.versions.borrow_and_update().clone();
            // The client may be ahead: a delta is available slightly before its version is published.
            if self.sent.is_none_or(|sent| sent < newest.number) {
                self.catch_up(&newest);
                continue;
            }
            tokio::select! {
                changed = self.versions.changed() => changed.ok()?,
                changed = self.stopping.changed() => changed.ok()?,
                _ = self.beats.tick() => {
                    return Some(Bytes::from(format!("event: beat\ndata: {{\"now\":{}}}\n\n", clock::now())));
                }
            }
        }
    }

    fn catch_up(&mut self, newest: &Version) {
        let instance = self.feed.instance();
        match self.sent.and_then(|version| self.feed.since(version)).filter(|deltas| !deltas.is_empty()) {
            Some(deltas) => {
                self.sent = deltas.last().map(|delta| delta.version);
                self.frames.extend(deltas.iter().map(|delta| frame(instance, delta.version, "delta", &delta.json)));
            }
            None => {
                self.sent = Some(newest.number);
                self.frames.push_back(frame(instance, newest.number, "snapshot", &newest.json()));
            }
        }
    }
}

/// Formats an event. The JSON contains no line breaks.
fn frame(instance: &str, version: u64, event: &str, json: &[u8]) -> Bytes {
    let head = format!("id: {instance}-{version}\nevent: {event}\ndata: ");
    [head.as_bytes(), json, b"\n\n"].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_event_ids_of_this_process_are_accepted() {
        for (id, expected) in
            [("abc-7", Some(7)), ("abc-", None), ("abc7", None), ("abd-7", None), ("abc-x", None), ("", None)]
        {
            assert_eq!(version(&HeaderValue::from_static(id), "abc"), expected, "{id}");
        }
    }
}
