use super::{busy_edge, get, text};

#[tokio::test]
async fn the_status_has_a_stable_format() {
    let json: serde_json::Value = serde_json::from_str(&text(get(&busy_edge(), "/status.json")).await).unwrap();
    assert_eq!(json["ready"], true);
    assert_eq!(json["now"], "2026-09-21T14:13:20.000Z");
    insta::assert_snapshot!(serde_json::to_string_pretty(&json["pools"][0]).unwrap(), @r##"
{
  "balance": "round_robin",
  "endpoints": [
    {
      "address": "10.0.0.1:8000",
      "announced_drains": 0,
      "checks": 0,
      "checks_failed": 0,
      "connect_failures": 0,
      "connections": 6,
      "connections_open": 0,
      "ejections": 0,
      "in_flight": 4,
      "order": "ready",
      "ordered_drains": 0,
      "reason": "check passed",
      "requests": 1500,
      "resets": 0,
      "responses": {
        "1xx": 0,
        "2xx": 1500,
        "3xx": 0,
        "4xx": 0,
        "5xx": 0
      },
      "reuse": 0.996,
      "since": "2026-09-21T13:11:40.000Z",
      "source": "tasks.web:8000",
      "state": "healthy",
      "timeouts": 0,
      "usable": true
    },
    {
      "address": "10.0.0.2:8000",
      "announced_drains": 0,
      "checks": 0,
      "checks_failed": 0,
      "connect_failures": 7,
      "connections": 0,
      "connections_open": 0,
      "ejections": 0,
      "in_flight": 0,
      "order": "ready",
      "ordered_drains": 0,
      "reason": "connection refused",
      "requests": 0,
      "resets": 0,
      "responses": {
        "1xx": 0,
        "2xx": 0,
        "3xx": 0,
        "4xx": 0,
        "5xx": 0
      },
      "reuse": null,
      "since": "2026-09-21T13:11:40.000Z",
      "source": "tasks.web:8000",
      "state": "unhealthy",
      "timeouts": 0,
      "usable": false
    }
  ],
  "hedges": 0,
  "hedges_won": 0,
  "latency": {
    "p50_ms": 4.04,
    "p99_ms": 9.865591397849462
  },
  "name": "web",
  "no_endpoint": 0,
  "over_budget": 0,
  "panic": false,
  "panics": 0,
  "queue_length": 0,
  "queue_overflows": 0,
  "queue_timeouts": 0,
  "queued": 0,
  "requests": 1500,
  "responses": {
    "1xx": 0,
    "2xx": 1494,
    "3xx": 0,
    "4xx": 0,
    "5xx": 6
  },
  "retries": 0,
  "routed": true,
  "sources": [
    {
      "endpoints": 2,
      "error": null,
      "failures": 0,
      "questions": 0,
      "resolved": "2026-09-21T14:13:18.000Z",
      "source": "tasks.web:8000"
    }
  ],
  "usable": 1,
  "uses_draining": false
}
"##);
    let keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    insta::assert_snapshot!(keys.join(" "), @r##"access_log alive draining errors listeners memory now pools ready reasons refusals reload routes started version workers"##);
}
