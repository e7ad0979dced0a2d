use super::{busy_edge, get, text};

#[tokio::test]
async fn the_status_has_a_stable_format() {
    let json: serde_json::Value = serde_json::from_str(&text(get(&busy_edge(), "/status.json")).await).unwrap();
    assert_eq!(json["ready"], true);
    assert_eq!(json["now"], "2026-09-21T14:13:20.000Z");
    insta::assert_snapshot!(serde_json::to_string_pretty(&json["pools"][0]).unwrap(), @r##"
{
  "balance": "round_robin",
  "decision_counts": {},
  "endpoints": [
    {
      "address": "10.0.0.1:8000",
      "announced_drains": 0,
      "backup": false,
      "checks": 0,
      "checks_failed": 0,
      "connect_failures": 0,
      "connections": 6,
      "connections_open": 0,
      "ejected_until": null,
      "ejections": 0,
      "flips": 1,
      "in_flight": 4,
      "mesh": null,
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
      "slow_starts": 0,
      "source": "tasks.web:8000",
      "state": "healthy",
      "states_before": [
        {
          "reason": "",
          "since": "2026-09-21T13:06:40.000Z",
          "state": "unchecked"
        }
      ],
      "suspect": null,
      "tier": 1,
      "timeouts": 0,
      "trials_failed": 0,
      "trials_passed": 0,
      "usable": true,
      "weight": 1.0,
      "zone": null
    },
    {
      "address": "10.0.0.2:8000",
      "announced_drains": 0,
      "backup": false,
      "checks": 0,
      "checks_failed": 0,
      "connect_failures": 7,
      "connections": 0,
      "connections_open": 0,
      "ejected_until": null,
      "ejections": 0,
      "flips": 1,
      "in_flight": 0,
      "mesh": null,
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
      "slow_starts": 0,
      "source": "tasks.web:8000",
      "state": "unhealthy",
      "states_before": [
        {
          "reason": "",
          "since": "2026-09-21T13:06:40.000Z",
          "state": "unchecked"
        }
      ],
      "suspect": null,
      "tier": 1,
      "timeouts": 0,
      "trials_failed": 0,
      "trials_passed": 0,
      "usable": false,
      "weight": 1.0,
      "zone": null
    }
  ],
  "hedges": 0,
  "hedges_won": 0,
  "latency": {
    "p50_ms": 4.04,
    "p99_ms": 9.865591397849462
  },
  "mesh": null,
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
  "retry_reasons": {},
  "routed": true,
  "sessions_moved": 0,
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
  "tiers_in_use": [
    "1"
  ],
  "usable": 1,
  "uses_draining": false,
  "zone": null,
  "zone_in_use": null
}
"##);
    let keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    insta::assert_snapshot!(keys.join(" "), @r##"access_log alive decisions draining errors listeners memory now pools ready reasons refusals reload routes started version workers"##);
}
