//! All rows and their aims.

use super::{
    app, bodies, counts, handshakes, held, http2, idle, latency, lifecycle,
    row::{
        Aim::{self, AtLeast, AtMost},
        Metric, Row, Side,
    },
    small_get, websocket,
};
use crate::{
    load::handshakes::Resumption,
    peers::Peer::{self, App, Caddy, Constant, Edge, Flask, Haproxy, Naive, Nginx, Pingora, Relay, Replicated},
    tls::Kind,
};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "small-get-64",
        title: "HTTP/1.1, small GET, 64 connections",
        peers: ALL_PROXIES,
        metrics: SMALL,
        sample: |bench, peer, _| small_get::cost(bench, peer, 64),
        ..ROW
    },
    Row {
        name: "small-get-1024",
        title: "HTTP/1.1, small GET, 1,024 connections",
        peers: ALL_PROXIES,
        metrics: SMALL,
        sample: |bench, peer, _| small_get::cost(bench, peer, 1024),
        ..ROW
    },
    Row {
        name: "throughput-1",
        title: "HTTP/1.1, small GET, one worker on its own core, load on another",
        peers: CLOSEST,
        metrics: &[
            Metric { name: "requests/s", aims: AT_LEAST_1_2 },
            Metric { name: "requests/CPU s", aims: AT_LEAST_1_2 },
        ],
        sample: |bench, peer, _| small_get::throughput(bench, peer, 1),
        ..ROW
    },
    Row {
        name: "throughput-2",
        title: "HTTP/1.1, small GET, two workers sharing two cores with the load",
        peers: CLOSEST,
        // No aim for requests/s: the load takes the same share of both cores with every peer, which dilutes the ratio.
        metrics: &[Metric { name: "requests/s", aims: &[] }, Metric { name: "requests/CPU s", aims: AT_LEAST_1_2 }],
        sample: |bench, peer, _| small_get::throughput(bench, peer, 2),
        ..ROW
    },
    Row {
        name: "latency",
        title: "Latency in an open loop at half of HAProxy's highest rate",
        peers: CLOSEST,
        metrics: &[
            Metric { name: "p50 µs", aims: &[] },
            Metric { name: "p99 µs", aims: AT_MOST_1 },
            Metric { name: "p99.9 µs", aims: AT_MOST_1 },
        ],
        sample: |bench, peer, _| latency::sample(bench, peer),
        ..ROW
    },
    Row {
        name: "body-1m-down",
        title: "Responses of 1 MiB",
        sample: |bench, peer, _| bodies::down(bench, peer, 1 << 20, 8),
        ..BODY
    },
    Row {
        name: "body-1m-up",
        title: "Requests of 1 MiB",
        sample: |bench, peer, _| bodies::up(bench, peer, 1 << 20, 8),
        ..BODY
    },
    Row {
        name: "body-100m-down",
        title: "Responses of 100 MiB",
        sample: |bench, peer, _| bodies::down(bench, peer, 100 << 20, 2),
        ..BODY
    },
    Row {
        name: "body-100m-up",
        title: "Requests of 100 MiB",
        sample: |bench, peer, _| bodies::up(bench, peer, 100 << 20, 2),
        ..BODY
    },
    Row {
        name: "http2",
        title: "HTTP/2 over TLS to HTTP/1.1, small GET, 100 streams on each of 4 connections",
        peers: CLOSEST,
        metrics: &[Metric { name: "requests/CPU s", aims: AT_LEAST_1_2 }],
        sample: |bench, peer, _| http2::sample(bench, peer),
        ..ROW
    },
    Row {
        name: "tls-full-p256",
        title: "TLS 1.3, full handshakes, ECDSA P-256",
        sample: |bench, peer, _| handshakes::sample(bench, peer, Kind::EcdsaP256, Resumption::Never),
        ..TLS
    },
    Row {
        name: "tls-full-rsa",
        title: "TLS 1.3, full handshakes, RSA-2048",
        sample: |bench, peer, _| handshakes::sample(bench, peer, Kind::Rsa2048, Resumption::Never),
        ..TLS
    },
    Row {
        name: "tls-resumed",
        // A resumed handshake does not use the certificate.
        title: "TLS 1.3, resumed handshakes",
        sample: |bench, peer, _| handshakes::sample(bench, peer, Kind::EcdsaP256, Resumption::Always),
        ..TLS
    },
    Row {
        name: "websocket",
        title: "WebSocket, 64-byte messages, 64 connections",
        peers: CLOSEST,
        metrics: &[Metric { name: "messages/CPU s", aims: &[(Haproxy, AtLeast(1.0))] }],
        sample: |bench, peer, _| websocket::sample(bench, peer),
        ..ROW
    },
    Row {
        name: "idle-plain",
        title: "Memory (PSS) per idle keep-alive connection, 10,000 connections",
        peers: CLOSEST,
        metrics: MEMORY,
        sample: |bench, peer, _| idle::plain(bench, peer),
        ..ROW
    },
    Row {
        name: "idle-tls",
        title: "Memory (PSS) per idle keep-alive connection with TLS 1.3, 10,000 connections",
        peers: CLOSEST,
        metrics: MEMORY,
        sample: |bench, peer, _| idle::tls(bench, peer),
        ..ROW
    },
    Row {
        name: "unfinished-heads",
        title: "Memory (PSS) per unfinished head, 2,000 connections",
        peers: CLOSEST,
        metrics: MEMORY,
        sample: |bench, peer, _| held::heads(bench, peer),
        ..ROW
    },
    Row {
        name: "unread-h2",
        title: "Memory (PSS) of 60 h2c connections with 100 unread responses of 1 MiB each",
        // nginx speaks either HTTP/1 or h2c on a port.
        peers: &[Haproxy],
        metrics: &[Metric { name: "MB", aims: AT_MOST_1 }],
        sample: |bench, peer, _| held::unread(bench, peer),
        ..ROW
    },
    Row {
        name: "endpoints-1000",
        title: "A pool of 1,000 endpoints compared with one of 3, small GET, 1,024 connections",
        peers: &[Edge],
        peer_label: Some("edge, 3 endpoints"),
        metrics: &[Metric { name: "CPU µs/request", aims: &[(Edge, AtMost(1.05))] }],
        sample: |bench, _, side| small_get::endpoints(bench, if side == Side::Ours { 1000 } else { 3 }),
        ..ROW
    },
    Row {
        name: "start",
        title: "Time from start to the first response",
        peers: CLOSEST,
        metrics: &[Metric { name: "ms", aims: AT_MOST_1 }],
        sample: |bench, peer, _| lifecycle::start(bench, peer),
        ..ROW
    },
    Row {
        name: "reload",
        title: "The load of the latency row, with and without a SIGHUP in its middle",
        peers: &[Edge],
        peer_label: Some("edge, no SIGHUP"),
        metrics: &[Metric { name: "p99.9 µs", aims: &[(Edge, AtMost(1.25))] }],
        sample: |bench, _, side| lifecycle::reload(bench, side),
        ..ROW
    },
    Row {
        name: "system-calls",
        title: "System calls per small GET, 64 connections",
        peers: CLOSEST,
        metrics: &[Metric { name: "calls/request", aims: AT_MOST_1 }],
        once: true,
        sample: |bench, peer, _| counts::system_calls(bench, peer),
        ..ROW
    },
    Row {
        name: "instructions",
        title: "User-space instructions per small GET, 64 connections",
        peers: &[Haproxy],
        metrics: &[Metric { name: "instructions/request", aims: AT_MOST_1 }],
        once: true,
        sample: |bench, peer, _| counts::instructions(bench, peer),
        ..ROW
    },
    Row { name: "app-local", title: "The counter with one Redis, 256 connections", ours: App, ..COUNTER },
    Row {
        name: "app-replicated",
        title: "The counter with a Redis master, two replicas and sentinels; hits acknowledged by a replica",
        ours: Replicated,
        ..COUNTER
    },
];

/// The defaults of a row.
const ROW: Row = Row {
    name: "",
    title: "",
    ours: Edge,
    peers: &[],
    peer_label: None,
    metrics: &[],
    once: false,
    sample: |_, _, _| Ok(Vec::new()),
};

const BODY: Row = Row { peers: CLOSEST, metrics: &[Metric { name: "CPU ms/GiB", aims: AT_MOST_1 }], ..ROW };

const TLS: Row = Row {
    peers: CLOSEST,
    metrics: &[Metric { name: "handshakes/CPU s", aims: &[(Haproxy, AtLeast(1.1)), (Nginx, AtLeast(1.1))] }],
    ..ROW
};

const COUNTER: Row = Row {
    peers: &[Constant, Naive, Flask],
    metrics: &[
        Metric { name: "requests/s", aims: &[(Constant, AtLeast(0.9))] },
        Metric { name: "p50 µs", aims: &[] },
        Metric { name: "p99 µs", aims: &[(Constant, AtMost(2.0))] },
        Metric { name: "commands/hit", aims: &[] },
    ],
    sample: |bench, peer, _| app::sample(bench, peer),
    ..ROW
};

/// All proxies, in the order of the report.
const ALL_PROXIES: &[Peer] = &[Haproxy, Nginx, Relay, Pingora, Caddy];

/// The closest competitors.
const CLOSEST: &[Peer] = &[Haproxy, Nginx];

const AT_LEAST_1_2: &[(Peer, Aim)] = &[(Haproxy, AtLeast(1.2)), (Nginx, AtLeast(1.2))];
const AT_MOST_1: &[(Peer, Aim)] = &[(Haproxy, AtMost(1.0))];
const MEMORY: &[Metric] = &[Metric { name: "bytes/connection", aims: AT_MOST_1 }];

const SMALL: &[Metric] = &[
    Metric {
        name: "CPU µs/request",
        aims: &[
            (Haproxy, AtMost(0.85)),
            (Nginx, AtMost(1.0)),
            (Caddy, AtMost(1.0)),
            (Pingora, AtMost(1.0)),
            (Relay, AtMost(1.1)),
        ],
    },
    Metric { name: "requests/s", aims: &[] },
];
