use proptest::prelude::*;

use super::*;
use crate::config::Source;

#[test]
fn a_port_alone_listens_on_every_address_of_both_families() {
    assert_eq!(listen(":8080"), Ok("[::]:8080".parse().unwrap()));
    assert_eq!(listen(" 127.0.0.1:0 "), Ok("127.0.0.1:0".parse().unwrap()));
    assert_eq!(listen_or_off("off"), Ok(None));
}

#[test]
fn an_invalid_listen_address_is_reported_with_a_fix() {
    let errors = ["8080", "127.0.0.1", "::1", "localhost:80", "www:80", ":99999"].map(|text| listen(text).unwrap_err());
    insta::assert_snapshot!(errors.join("\n"), @r#"
    "8080" is only a port: write ":8080" for every address of this host
    "127.0.0.1" has no port: write "127.0.0.1:80"
    "::1" has no port: write "[::1]:80"
    "localhost:80" is a name, but a listener needs an address: write "127.0.0.1:80"
    "www:80" is not an address to listen on: write IP:port, such as "192.0.2.1:80", "[::1]:80" or ":80"
    ":99999" is not an address to listen on: write IP:port, such as "192.0.2.1:80", "[::1]:80" or ":80"
    "#);
}

#[test]
fn endpoints_are_addresses_or_names() {
    let name = |host: &str, port| Ok(Source::Name { host: host.to_owned(), port });
    let address = |text: &str| Ok(Source::Address(text.parse().unwrap()));
    assert_eq!(endpoint("10.0.0.1:8000", Err("")), address("10.0.0.1:8000"));
    assert_eq!(endpoint("[::1]:8000", Err("")), address("[::1]:8000"));
    assert_eq!(endpoint("tasks.stack_Web:8000", Err("")), name("tasks.stack_web", 8000));
    assert_eq!(endpoint("web.example.com.:80", Err("")), name("web.example.com.", 80));
    assert_eq!(endpoint("10.0.0.1", Ok(8000)), address("10.0.0.1:8000"));
    assert_eq!(endpoint("::1", Ok(8000)), address("[::1]:8000"));
    assert_eq!(endpoint("web", Ok(8000)), name("web", 8000));
    assert_eq!(endpoint("web:9000", Ok(8000)), name("web", 9000));
}

#[test]
fn an_invalid_endpoint_is_reported_with_a_fix() {
    let texts = [
        "web",
        "10.0.0.1",
        "::1",
        "http://web:80",
        "web:80/x",
        "10.0.0.300:80",
        "web:0",
        "web:x",
        "",
        ":80",
        "-web:80",
    ];
    let errors = texts.map(|text| endpoint(text, Err("")).unwrap_err());
    insta::assert_snapshot!(errors.join("\n"), @r#"
    "web" has no port: add one after a colon, such as "web:8000"
    "10.0.0.1" has no port: add one after a colon, such as "10.0.0.1:8000"
    "::1" has no port: add one after a colon, such as "[::1]:8000"
    "http://web:80" is a URL: write only host:port; the edge speaks plain HTTP/1.1 to endpoints
    "web:80/x" has a path: write only "web:80"; the edge forwards the path of each request unchanged
    "10.0.0.300:80" is not an endpoint: write IP:port, [IPv6]:port or name:port, such as "10.0.0.1:8000" or "tasks.web:8000"
    "web:0" has no usable port: write one from 1 to 65535
    "web:x" has no usable port: write one from 1 to 65535
    "" is not an endpoint: write IP:port, [IPv6]:port or name:port, such as "10.0.0.1:8000" or "tasks.web:8000"
    ":80" is not an endpoint: write IP:port, [IPv6]:port or name:port, such as "10.0.0.1:8000" or "tasks.web:8000"
    "-web:80" is not an endpoint: write IP:port, [IPv6]:port or name:port, such as "10.0.0.1:8000" or "tasks.web:8000"
    "#);
}

#[test]
fn the_node_list_of_a_swarm_is_a_source() {
    let swarm = |host: &str| Ok(Source::Swarm { host: host.to_owned(), host_port: 8080, port: 8000 });
    for (text, default_port, host) in [
        ("swarm://watch:8080", Ok(8000), "watch"),
        ("swarm://tasks.watch:8080/", Ok(8000), "tasks.watch"),
        ("swarm://Tasks.Stack_Watch.:8080/?port=8000", Err(""), "tasks.stack_watch."),
        ("swarm://10.0.0.1:8080?port=8000", Ok(1), "10.0.0.1"),
        ("swarm://[fd00::1]:8080?port=8000", Ok(1), "fd00::1"),
    ] {
        let source = endpoint(text, default_port);
        assert_eq!(source, swarm(host), "{text}");
        assert_eq!(endpoint(&source.unwrap().to_string(), Err("")), swarm(host), "{text}");
    }
    let texts = [
        "swarm://watch:8080",
        "swarm://watch",
        "swarm://10.0.0.1",
        "swarm://watch:0?port=8000",
        "swarm://watch:8080?port=0",
        "swarm://watch:8080?port=http",
        "swarm://watch:8080?ports=8000",
        "swarm://watch:8080/api/nodes",
        "swarm://:8080",
        "swarm://",
        "swarm://user@watch:8080?port=1",
    ];
    let errors = texts.map(|text| endpoint(text, Err(", or set one for all endpoints with --to-port")).unwrap_err());
    insta::assert_snapshot!(errors.join("\n"), @r#"
    "swarm://watch:8080" does not say which port of the nodes to use: write "swarm://watch:8080?port=8000", or set one for all endpoints with --to-port
    "swarm://watch" has no port: add the port of watch's HTTP server, such as "swarm://watch:8080"
    "swarm://10.0.0.1" has no port: add the port of watch's HTTP server, such as "swarm://10.0.0.1:8080"
    "swarm://watch:0?port=8000" has no usable port: write one from 1 to 65535
    "swarm://watch:8080?port=0" has no usable port: write one from 1 to 65535
    "swarm://watch:8080?port=http" is not the node list of a swarm: write the address of watch's HTTP server and the port of the nodes, such as "swarm://tasks.watch:8080?port=8000"
    "swarm://watch:8080?ports=8000" is not the node list of a swarm: write the address of watch's HTTP server and the port of the nodes, such as "swarm://tasks.watch:8080?port=8000"
    "swarm://watch:8080/api/nodes" is not the node list of a swarm: write the address of watch's HTTP server and the port of the nodes, such as "swarm://tasks.watch:8080?port=8000"
    "swarm://:8080" is not the node list of a swarm: write the address of watch's HTTP server and the port of the nodes, such as "swarm://tasks.watch:8080?port=8000"
    "swarm://" is not the node list of a swarm: write the address of watch's HTTP server and the port of the nodes, such as "swarm://tasks.watch:8080?port=8000"
    "swarm://user@watch:8080?port=1" is not the node list of a swarm: write the address of watch's HTTP server and the port of the nodes, such as "swarm://tasks.watch:8080?port=8000"
    "#);
}

#[test]
fn srv_records_and_files_are_sources() {
    let services = |name: &str| Ok(Source::Services { name: name.to_owned() });
    let file = |path: &str| Ok(Source::File(path.into()));
    for (text, expected) in [
        ("srv://_http._tcp.web.example", services("_http._tcp.web.example")),
        ("srv://_HTTP._tcp.Web.example./", services("_http._tcp.web.example.")),
        ("srv://web.service.consul", services("web.service.consul")),
        ("file:///etc/edge/web.endpoints", file("/etc/edge/web.endpoints")),
        ("file://web.endpoints", file("web.endpoints")),
    ] {
        let source = endpoint(text, Err(""));
        assert_eq!(source, expected, "{text}");
        assert_eq!(endpoint(&source.unwrap().to_string(), Err("")), expected, "{text}");
    }
    let texts = [
        "srv://",
        "srv://10.0.0.1",
        "srv://_http._tcp.web.example:80",
        "srv://web.example/x",
        "_http._tcp.web.example",
        "file://",
    ];
    let errors = texts.map(|text| endpoint(text, Ok(8000)).unwrap_err());
    insta::assert_snapshot!(errors.join("\n"), @r#"
    "srv://" is not the name of SRV records: write it like "srv://_http._tcp.web.example"
    "srv://10.0.0.1" is not the name of SRV records: write it like "srv://_http._tcp.web.example"
    "srv://_http._tcp.web.example:80" has a port, but SRV records contain the ports: write "srv://_http._tcp.web.example"
    "srv://web.example/x" is not the name of SRV records: write it like "srv://_http._tcp.web.example"
    "_http._tcp.web.example" is the name of SRV records: write "srv://_http._tcp.web.example"
    "file://" names no file: write its path after the scheme, such as "file:///etc/edge/web.endpoints"
    "#);
    assert!(endpoint("_http._tcp.web.example:80", Err("")).is_ok(), "such a name may have addresses as well");
}

#[test]
fn hosts_are_names_addresses_and_wildcards() {
    let exact = |host: &str| Ok(HostMatch::Exact(host.to_owned()));
    assert_eq!(host_match("*"), Ok(HostMatch::Any));
    assert_eq!(host_match("WWW.Example.com."), exact("www.example.com"));
    assert_eq!(host_match("*.example.com"), Ok(HostMatch::Suffix("example.com".to_owned())));
    assert_eq!(host_match("192.0.2.1"), exact("192.0.2.1"));
    assert_eq!(host_match("::1"), exact("[::1]"));
    assert_eq!(host_match("[::1]"), exact("[::1]"));
    let texts = [
        "",
        "www.example.com:80",
        "https://www.example.com/x",
        "w*.example.com",
        "bücher.example",
        "a..b",
        "a..",
        ":80",
    ];
    let errors = texts.map(|text| host_match(text).unwrap_err());
    insta::assert_snapshot!(errors.join("\n"), @r#"
    "" is not a host: write it like "www.example.com", "*.example.com" or "*" for any
    "www.example.com:80" is more than a host: write only "www.example.com"
    "https://www.example.com/x" is a URL: write only its host, such as "www.example.com"
    "w*.example.com" is not a host: write it like "www.example.com", "*.example.com" or "*" for any
    "bücher.example" is not ASCII: write the name in Punycode, which begins with "xn--"
    "a..b" is not a host: write it like "www.example.com", "*.example.com" or "*" for any
    "a.." is not a host: write it like "www.example.com", "*.example.com" or "*" for any
    ":80" is not a host: write it like "www.example.com", "*.example.com" or "*" for any
    "#);
}

#[test]
fn bits_outside_the_mask_of_a_network_are_cleared() {
    assert_eq!(network("10.1.2.3/8"), Ok("10.0.0.0/8".parse().unwrap()));
    assert_eq!(network("192.0.2.7"), Ok("192.0.2.7/32".parse().unwrap()));
    assert_eq!(network("::ffff:10.1.2.3/104"), Ok("10.0.0.0/8".parse().unwrap()));
    assert_eq!(network("::ffff:192.0.2.7"), Ok("192.0.2.7/32".parse().unwrap()));
    assert_eq!(network("::ffff:0:0/95"), Ok("::fffe:0:0/95".parse().unwrap()), "more than the mapped addresses");
    assert!(network("10.0.0.0/33").is_err());
}

#[test]
fn the_default_port_of_a_name_server_is_53() {
    assert_eq!(name_server("127.0.0.11"), Ok("127.0.0.11:53".parse().unwrap()));
    assert_eq!(name_server("[::1]"), Ok("[::1]:53".parse().unwrap()));
    assert_eq!(name_server("127.0.0.1:5353"), Ok("127.0.0.1:5353".parse().unwrap()));
    assert!(name_server("dns.example").is_err());
}

#[test]
fn queries_travel_to_a_name_server_by_its_scheme() {
    for (text, transport, address) in [
        ("127.0.0.11", Transport::Udp, "127.0.0.11:53"),
        ("[::1]:5353", Transport::Udp, "[::1]:5353"),
        ("tcp://10.0.0.53", Transport::Tcp, "10.0.0.53:53"),
        ("tls://10.0.0.53", Transport::Tls, "10.0.0.53:853"),
        ("tls://[fd00::53]:8530", Transport::Tls, "[fd00::53]:8530"),
    ] {
        let server = NameServer { transport, address: address.parse().unwrap() };
        assert_eq!(dns_server(text), Ok(server), "{text}");
        assert_eq!(dns_server(&server.to_string()), Ok(server), "{text}");
    }
    for text in ["", "dns.example", "tls://dns.example", "https://10.0.0.53", "udp://10.0.0.53", "tls://10.0.0.53:0"] {
        let message = "is not a name server: write its address, such as \"127.0.0.11\", \"[::1]:53\", \
                       \"tcp://10.0.0.53\" or \"tls://10.0.0.53:853\"";
        assert_eq!(dns_server(text), Err(format!("{text:?} {message}")));
    }
    assert_eq!(tls_name("Dns.Example.com."), Ok("dns.example.com".to_owned()));
    assert_eq!(tls_name("::1"), Ok("::1".to_owned()));
    assert!(tls_name("*.example.com").is_err() && tls_name("tls://a").is_err() && tls_name("").is_err());
}

proptest! {
    #[test]
    fn a_rendered_host_parses_to_the_same_host(text in "(\\*\\.)?[a-zA-Z0-9_.:\\[\\]-]{0,20}|.*") {
        if let Ok(host) = host_match(&text) {
            prop_assert_eq!(host_match(&render_host(&host)), Ok(host));
        }
    }

    #[test]
    fn no_text_panics(text in "((swarm|srv|file|tcp|tls)://)?[a-z0-9.:/?=\\[\\]-]{0,20}|.*") {
        let results = [
            listen(&text).is_ok(), endpoint(&text, Err("")).is_ok(), endpoint(&text, Ok(1)).is_ok(),
            name_server(&text).is_ok(), network(&text).is_ok(), server_name(&text).is_ok(),
            dns_server(&text).is_ok(), tls_name(&text).is_ok(),
        ];
        prop_assert_eq!(results.len(), 8);
    }
}
