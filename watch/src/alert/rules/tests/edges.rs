//! Edges, their pools and certificates.

use super::*;

#[test]
fn edges_that_do_not_answer_or_have_no_usable_endpoint_are_reported() {
    let mut cluster = well();
    cluster.edges = [
        ("10.0.1.2:9901".into(), edge(Some("n1"), 3, false)),
        ("10.0.1.3:9901".into(), edge(Some("n2"), 0, false)),
        ("10.0.1.4:9901".into(), edge(None, 3, true)),
    ]
    .into();
    assert_eq!(
        described(&cluster),
        [
            "edge_pool/n2/web critical: the edge on serveur18 (10.10.25.165): its pool web has no usable endpoint (3 known)",
            "edge_pool/10.0.1.4:9901/web critical: the edge 10.0.1.4:9901: its pool web is in panic: too few of 3 endpoints \
         are healthy, so all are used (3)",
        ]
    );
    cluster.edges.get_mut("10.0.1.3:9901").unwrap().error = Some("connection refused".into());
    cluster.edges.remove("10.0.1.4:9901");
    let observation = observe(&cluster);
    assert_eq!(
        described(&cluster),
        ["edge_down/n2 warning: the edge on serveur18 (10.10.25.165) does not answer: connection refused"]
    );
    // What the edge reported last is unknown now.
    assert!(!observation.knows("edge_pool/n2/web") && observation.knows("edge_pool/n1/web"));
    assert!(!observation.knows("certificate/www"));
    node(&mut cluster, "n2").state = NodeState::Down;
    assert_eq!(observe(&cluster).conditions[1].causes, ["node_down/n2"]);
    node(&mut cluster, "n2").state = NodeState::Ready;
    cluster.edges.remove("10.0.1.2:9901");
    assert_eq!(one(&cluster).severity, Severity::Critical);
}

#[test]
fn expiring_and_self_signed_certificates_are_reported() {
    let mut cluster = well();
    let mut with = |days: i64, self_signed| {
        let certificate =
            Certificate { names: vec!["www.example.com".into()], not_after: Some(NOW + days * DAY), self_signed };
        let mut edge = edge(Some("n1"), 3, false);
        edge.certificates = vec![certificate.clone()];
        let mut other = edge.clone();
        // The same certificate, not renewed on this edge.
        other.certificates = vec![Certificate { not_after: Some(NOW + 100 * DAY), ..certificate }];
        cluster.edges = [("a".into(), other), ("b".into(), edge)].into();
        described(&cluster).join("")
    };
    assert_eq!(with(15, false), "");
    assert_eq!(
        with(13, false),
        "certificate/www.example.com warning: the certificate for www.example.com expires on 2026-12-10"
    );
    assert!(with(2, false).starts_with("certificate/www.example.com critical"));
    assert!(with(-1, false).contains("expired on 2026-11-26"));
    assert!(with(1, true).starts_with("self_signed/www.example.com info"));
}
