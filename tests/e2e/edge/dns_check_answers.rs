//! `edge dns`: name servers whose answers are no addresses, and what the command says about each.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hickory_server::proto::{
    op::{Message, MessageType},
    rr::{Name, RData, Record, rdata},
};
use tests::{
    dns::{Answer, Dns},
    port,
};
use tokio::{net::UdpSocket, task::JoinHandle};

use super::dns_check::check;

const NAME: &str = "www.example.com";

/// A name server over UDP only. Dropping it stops it.
struct UdpOnly {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl UdpOnly {
    /// Starts a server that answers every query without an error, after `change` has changed the answer.
    async fn start(change: impl Fn(&mut Message) + Send + 'static) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port::free())).await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut query = vec![0; 2048];
            while let Ok((size, client)) = socket.recv_from(&mut query).await {
                let Ok(mut message) = Message::from_vec(&query[..size]) else { continue };
                message.metadata.message_type = MessageType::Response;
                change(&mut message);
                // The client may have closed its socket.
                let _sent = socket.send_to(&message.to_vec().unwrap(), client).await;
            }
        });
        Self { address, task }
    }
}

impl Drop for UdpOnly {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns the output of the command with these resolvers, and its exit code.
async fn output(name: &str, resolvers: &[SocketAddr]) -> (String, i32) {
    let resolvers: Vec<_> = resolvers.iter().map(|resolver| format!("--resolver={resolver}")).collect();
    let resolvers: Vec<_> = resolvers.iter().map(String::as_str).collect();
    check(&[&resolvers[..], &["--no-system", "--https-port=off", "--http-port=off", "--timeout=2s", name]].concat())
        .await
}

fn addresses(addresses: &[&str]) -> Answer {
    let addresses = addresses.iter().map(|address| address.parse::<IpAddr>().unwrap()).collect();
    Answer::Addresses { addresses, ttl: 60, truncated: false }
}

#[tokio::test]
async fn alias_without_its_target_is_named_with_the_target() {
    let dns = Dns::start().await;
    dns.set(NAME, Answer::Alias { target: "gone.example.net".to_owned(), ttl: 60 });
    let (text, code) = output(NAME, &[dns.address()]).await;
    assert!(text.contains("CNAME www.example.com -> gone.example.net"), "{text}");
    assert!(text.contains("www.example.com is an alias of gone.example.net, which does not exist"), "{text}");
    assert!(!text.contains("create an A record for each edge"), "{text}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn closed_port_of_a_name_server_is_not_a_timeout() {
    let closed = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let (text, code) = output(NAME, &[closed]).await;
    assert!(text.contains(&format!("{closed}: no program listens on this port")), "{text}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn truncated_answer_without_tcp_says_so() {
    let truncated = UdpOnly::start(|message| message.metadata.truncation = true).await;
    let (text, code) = output(NAME, &[truncated.address]).await;
    assert!(text.contains("the answer is too long for UDP, and TCP failed: connection refused"), "{text}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn referral_names_the_zone() {
    let parent = UdpOnly::start(|message| {
        let name = |text| Name::from_ascii(text).unwrap();
        let ns = RData::NS(rdata::NS(name("ns.example.com.")));
        message.add_authority(Record::from_rdata(name("example.com."), 60, ns));
    })
    .await;
    let (text, code) = output(NAME, &[parent.address]).await;
    assert!(text.contains("no answer, but a referral to the name servers of example.com"), "{text}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn only_ipv6_addresses_and_unusable_ones_are_problems() {
    let dns = Dns::start().await;
    dns.set(NAME, addresses(&["2001:db8::7", "2001:db8::8"]));
    let (text, code) = output(NAME, &[dns.address()]).await;
    assert!(text.contains("no A record: the many clients without IPv6") && text.contains("1 problem."), "{text}");
    assert_eq!(code, 1);

    dns.set(NAME, addresses(&["203.0.113.7", "203.0.113.8", "169.254.7.7", "::ffff:203.0.113.9"]));
    let (text, code) = output(NAME, &[dns.address()]).await;
    assert!(text.contains("169.254.7.7: a link-local address"), "{text}");
    assert!(text.contains("put 203.0.113.9 into an A record"), "{text}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn wildcard_is_answered_with_a_name_that_it_covers() {
    let (text, code) = output("*.example.org", &[SocketAddr::from((Ipv4Addr::LOCALHOST, 1))]).await;
    assert!(text.contains("write one that it covers, such as \"www.example.org\""), "{text}");
    assert_eq!(code, 2);
}
