//! `edge dns`: names that lead to edges, and the ways in which they may not.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use serde_json::Value;
use tests::{
    cert::{Authority, Certificate},
    dns::{Answer, Dns},
    port,
    process::Process,
    upstream::Upstream,
    wait::SOON,
};
use tokio::net::TcpListener;

use super::Edge;

const NAME: &str = "www.example.com";

/// An argument of [`Site::check`].
const WITHOUT_HTTPS: &str = "--https-port=off";

/// The ports of all edges of a test, each of which has its own address, the authority that issues their certificates,
/// and a name server.
struct Site {
    http: u16,
    https: u16,
    authority: Authority,
    dns: Dns,
}

impl Site {
    async fn new() -> Self {
        Self { http: port::free(), https: port::free(), authority: Authority::new(), dns: Dns::start().await }
    }

    /// Starts an edge at 127.0.0.`last`, without a working endpoint.
    async fn edge(&self, last: u8, certificate: Option<&Certificate>) -> Edge {
        let Self { http, https, .. } = self;
        let tls = certificate.map_or("self_signed = \"localhost\"".to_owned(), |files| {
            let file = files.combined_file.display();
            format!("certificates = [{{ certificate = \"{file}\", key = \"{file}\" }}]")
        });
        Edge::start(&format!(
            "[[listener]]\naddress = \"127.0.0.{last}:{http}\"\n\
             [[listener]]\naddress = \"127.0.0.{last}:{https}\"\n[listener.tls]\n{tls}\n\
             [pool.web]\nendpoints = \"127.0.0.1:1\"\nhealth = false\n",
        ))
        .await
    }

    fn good(&self) -> Certificate {
        self.authority.issue("good", &[NAME])
    }

    /// Runs the command and returns its output and its exit code.
    async fn check(&self, more: &[&str]) -> (String, i32) {
        let http = self.http.to_string();
        let https = if more.contains(&WITHOUT_HTTPS) { "off".to_owned() } else { self.https.to_string() };
        let more: Vec<_> = more.iter().copied().filter(|arg| *arg != WITHOUT_HTTPS).collect();
        let (resolver, ca) = (self.dns.address().to_string(), self.authority.root_file());
        let ca = ca.to_str().unwrap();
        let args = ["--no-system", "--http-port", &http, "--https-port", &https, "--ca", ca, "--resolver", &resolver];
        check(&[&["--timeout", "1s"][..], &more, &args, &[NAME]].concat()).await
    }

    /// Runs the command and returns its JSON and its exit code.
    async fn json(&self, more: &[&str]) -> (Value, i32) {
        let (output, code) = self.check(&[&["--json"], more].concat()).await;
        (serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}")), code)
    }
}

/// Runs the command and returns its output and its exit code.
pub(super) async fn check(args: &[&str]) -> (String, i32) {
    // The authorities of this machine must not matter.
    let no_authorities = Path::new("/dev/null");
    let mut edge = Process::ours("edge").env("SSL_CERT_FILE", no_authorities).arg("dns").args(args).start();
    let (status, output) = edge.output(SOON).await;
    (output, status.code().unwrap())
}

fn addresses(lasts: impl IntoIterator<Item = u8>, ttl: u32) -> Answer {
    let addresses = lasts.into_iter().map(|last| IpAddr::from([127, 0, 0, last])).collect();
    Answer::Addresses { addresses, ttl, truncated: false }
}

/// The findings of a level as `ABOUT CODE`, without ports.
fn findings(report: &Value, level: &str) -> BTreeSet<String> {
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["level"] == level);
    let finding = |finding: &Value| {
        let about = finding["about"].as_str().unwrap();
        let about = about.parse::<SocketAddr>().map_or(about.to_owned(), |about| about.ip().to_string());
        assert!(finding["mend"].as_str().unwrap().len() > 10 && finding["message"].as_str().unwrap().len() > 5);
        format!("{about} {}", finding["code"].as_str().unwrap())
    };
    findings.map(finding).collect()
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn name_with_only_good_edges_has_no_findings() {
    let site = Site::new().await;
    let certificate = site.good();
    let _edges = [site.edge(1, Some(&certificate)).await, site.edge(2, Some(&certificate)).await];
    site.dns.set(NAME, addresses([2, 1], 60));
    let (output, code) = site.check(&[]).await;
    let (dns, http, https) = (site.dns.address(), site.http, site.https);
    let expected = format!(
        "www.example.com\n\n  resolver {dns}\n    A     127.0.0.1  TTL 60 s\n    A     127.0.0.2  TTL 60 s\n\
         \u{20}   AAAA  no records\n\n  Address    HTTP {http}  HTTPS {https}  Certificate\n\
         \u{20} 127.0.0.1  edge        edge         www.example.com; until 4096-01-01; trusted\n\
         \u{20} 127.0.0.2  edge        edge         www.example.com; until 4096-01-01; trusted\n\nNo problems."
    );
    assert_eq!(output, expected);
    assert_eq!(code, 0);
    let (report, code) = site.json(&[]).await;
    assert_eq!((&report["well"], &report["findings"], code), (&true.into(), &Value::Array(vec![]), 0));
}

#[tokio::test]
async fn each_address_has_its_own_problems() {
    let site = Site::new().await;
    let unknown_authority = Authority::new();
    let _edges = [
        site.edge(1, Some(&site.good())).await,
        site.edge(4, Some(&site.authority.issue("other", &["other.example"]))).await,
        site.edge(5, Some(&site.authority.issue_expired("old", &[NAME]))).await,
        site.edge(6, None).await,
        site.edge(7, Some(&unknown_authority.issue("strange", &[NAME]))).await,
        site.edge(8, Some(&site.authority.issue_expired("worst", &["*.other.example"]))).await,
    ];
    let _application = Upstream::start_at(SocketAddr::from(([127, 0, 0, 3], site.http))).await;
    let _plain = Upstream::start_at(SocketAddr::from(([127, 0, 0, 3], site.https))).await;
    let _silent = [
        TcpListener::bind(("127.0.0.9", site.http)).await.unwrap(),
        TcpListener::bind(("127.0.0.9", site.https)).await.unwrap(),
    ];
    site.dns.set(NAME, addresses(1..=9, 60));
    let (report, code) = site.json(&[]).await;
    assert_eq!(code, 1, "{report:#}");
    let expected = set(&[
        "127.0.0.2 refused",
        "127.0.0.3 not_an_edge",
        "127.0.0.3 no_tls",
        "127.0.0.4 certificate_of_another_name",
        "127.0.0.5 certificate_expired",
        "127.0.0.6 stand_in_certificate",
        "127.0.0.7 certificate_untrusted",
        "127.0.0.8 certificate_expired",
        "127.0.0.8 certificate_of_another_name",
        "127.0.0.9 silent",
    ]);
    assert_eq!(findings(&report, "problem"), expected, "{report:#}");
    assert_eq!(findings(&report, "hint"), set(&[]));
    let states: Vec<_> = report["addresses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|address| {
            [&address["http"]["status"], &address["https"]["status"]].map(|it| it.as_str().unwrap()).join(" ")
        })
        .collect();
    let edge = "edge edge";
    assert_eq!(states, [edge, "refused refused", "other no_tls", edge, edge, edge, edge, edge, "silent silent"]);

    // Without HTTPS, certificates do not matter.
    site.dns.set(NAME, addresses([1, 4, 5, 6], 60));
    let (report, code) = site.json(&[WITHOUT_HTTPS]).await;
    assert_eq!((findings(&report, "problem"), code), (set(&[]), 0), "{report:#}");
}

#[tokio::test]
async fn failed_queries_are_distinguished() {
    let site = Site::new().await;
    for (answer, code) in [
        (Answer::NoSuchName, "no_such_name"),
        (Answer::Empty, "no_addresses"),
        (Answer::ServerFailure, "server_failure"),
        (Answer::Refused, "refused_by_resolver"),
        (Answer::Silence, "resolver_timeout"),
    ] {
        site.dns.set(NAME, answer);
        let (report, exit) = site.json(&[]).await;
        let expected = format!("{} {code}", site.dns.address().ip());
        assert_eq!((findings(&report, "problem"), exit), (set(&[&expected]), 1), "{report:#}");
    }
}

#[tokio::test]
async fn resolvers_are_compared_and_aliases_are_reported() {
    let site = Site::new().await;
    let certificate = site.good();
    let _edges = [site.edge(1, Some(&certificate)).await, site.edge(2, Some(&certificate)).await];
    let (other, broken) = (Dns::start().await, Dns::start().await);
    site.dns.set(NAME, Answer::Alias { target: "edges.example.net".to_owned(), ttl: 30 });
    site.dns.set("edges.example.net", addresses([1, 2], 60));
    other.set(NAME, addresses([1], 3600));
    broken.set(NAME, Answer::ServerFailure);
    let [second, third] = [&other, &broken].map(|dns| dns.address().to_string());
    let (report, code) = site.json(&["--resolver", &second, "--resolver", &third, "--resolver", &second]).await;
    assert_eq!(code, 1);
    assert_eq!(findings(&report, "problem"), set(&["127.0.0.1 server_failure", "127.0.0.2 resolvers_differ"]));
    assert_eq!(findings(&report, "hint"), set(&["127.0.0.1 long_ttl"]));
    let differ = report["findings"].as_array().unwrap().iter().find(|its| its["code"] == "resolvers_differ").unwrap();
    assert_eq!(differ["message"], format!("returned by {}, but not by {second}", site.dns.address()));
    let resolvers = report["resolvers"].as_array().unwrap();
    let labels: Vec<_> = resolvers.iter().map(|resolver| resolver["resolver"].as_str().unwrap()).collect();
    assert_eq!(labels, [&second, &third, &site.dns.address().to_string()]);
    let alias = serde_json::json!([{ "name": NAME, "target": "edges.example.net", "ttl": 30 }]);
    assert_eq!((&resolvers[2]["a"]["aliases"], &resolvers[0]["a"]["aliases"]), (&alias, &Value::Array(vec![])));
    assert_eq!(resolvers[2]["a"]["records"][0]["ttl"], 60);
    assert_eq!(report["addresses"][1]["resolvers"], serde_json::json!([site.dns.address().to_string()]));
}

#[tokio::test]
async fn all_usage_errors_are_reported_at_once() {
    let (output, code) = check(&[
        "203.0.113.7",
        "--resolver",
        "dns.example",
        "--no-system",
        "--http-port",
        "0",
        "--timeout",
        "1h",
        "--ca",
        "/nowhere",
    ])
    .await;
    assert_eq!(code, 2);
    for part in [
        "NAME: \"203.0.113.7\" is an address: write a name that resolves to it, such as \"www.example.com\"",
        "--resolver: \"dns.example\" is not the address of a name server",
        "--http-port: 0 is not allowed here: write a whole number from 1 to 65535, or \"off\"",
        "--ca: /nowhere cannot be read",
        "--timeout: \"1h\" is too long: write at most \"1min\"",
        "--no-system: leaves no name server to query",
    ] {
        assert!(output.contains(part), "{part} is not in {output}");
    }
    assert_eq!(check(&["*.example.com", "--no-system", "--resolver", "127.0.0.1:1"]).await.1, 2);
    assert_eq!(check(&[]).await.1, 2);
}
