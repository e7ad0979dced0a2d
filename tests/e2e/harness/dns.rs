//! The DNS server, queried with single messages instead of a resolver, which would cache answers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_server::proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_server::proto::rr::{Name, RecordType};
use tests::dns::{Answer, Dns};
use tests::wait::{SOON, deadline};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

const NAME: &str = "tasks.web";

fn question(record_type: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii(format!("{NAME}.")).unwrap();
    message.add_query(Query::query(name, record_type));
    message
}

async fn over_udp(server: SocketAddr, question: &Message) -> Message {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.send_to(&question.to_vec().unwrap(), server).await.unwrap();
    let mut answer = [0; 4096];
    let size = deadline("an answer", SOON, socket.recv(&mut answer)).await.unwrap();
    Message::from_vec(&answer[..size]).unwrap()
}

async fn over_tcp(server: SocketAddr, question: &Message) -> Message {
    let question = question.to_vec().unwrap();
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_u16(u16::try_from(question.len()).unwrap()).await.unwrap();
    stream.write_all(&question).await.unwrap();
    let size = deadline("an answer", SOON, stream.read_u16()).await.unwrap();
    let mut answer = vec![0; usize::from(size)];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

fn addresses(message: &Message) -> Vec<IpAddr> {
    message.answers.iter().filter_map(|record| record.data.ip_addr()).collect()
}

#[tokio::test]
async fn an_answer_changes_between_two_queries() {
    let dns = Dns::start().await;
    let a = question(RecordType::A);
    let unknown = over_udp(dns.address(), &a).await;
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);

    for set in [vec![[10, 0, 1, 5]], vec![[10, 0, 1, 6], [10, 0, 1, 5]]] {
        dns.set(NAME, Answer::addresses(set.clone()));
        let answer = over_udp(dns.address(), &a).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        let wanted: Vec<IpAddr> = set.into_iter().map(IpAddr::from).collect();
        assert_eq!(addresses(&answer), wanted);
        assert_eq!(answer.answers[0].ttl, 600);
    }
    assert_eq!(dns.queries(NAME), 3);
    assert_eq!(dns.queries_over_tcp(NAME), 0);
}

#[tokio::test]
async fn each_address_family_is_a_query_of_its_own() {
    let dns = Dns::start().await;
    let both: [IpAddr; 2] = ["10.0.1.5".parse().unwrap(), "fd00::5".parse().unwrap()];
    dns.set(NAME, Answer::addresses(both));
    let four = over_udp(dns.address(), &question(RecordType::A)).await;
    let six = over_udp(dns.address(), &question(RecordType::AAAA)).await;
    assert_eq!([addresses(&four), addresses(&six)], [[both[0]], [both[1]]]);
}

#[tokio::test]
async fn the_three_negative_answers_differ() {
    let dns = Dns::start().await;
    for (answer, code) in [
        (Answer::Empty, ResponseCode::NoError),
        (Answer::NoSuchName, ResponseCode::NXDomain),
        (Answer::ServerFailure, ResponseCode::ServFail),
    ] {
        dns.set(NAME, answer);
        let answer = over_udp(dns.address(), &question(RecordType::A)).await;
        assert_eq!(answer.metadata.response_code, code);
        assert_eq!(addresses(&answer).len(), 0);
    }
}

#[tokio::test]
async fn silence_counts_the_query_and_sends_no_answer() {
    let dns = Dns::start().await;
    dns.set(NAME, Answer::Silence);
    let question = question(RecordType::A);
    let answer = over_udp(dns.address(), &question);
    let answer = tokio::time::timeout(Duration::from_millis(200), answer).await;
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(dns.queries(NAME), 1);
}

#[tokio::test]
async fn a_truncated_answer_is_complete_over_tcp() {
    let dns = Dns::start().await;
    let Answer::Addresses { addresses: all, ttl, .. } = Answer::addresses([[10, 0, 1, 5]]) else {
        unreachable!("created from addresses");
    };
    dns.set(NAME, Answer::Addresses { addresses: all.clone(), ttl, truncated: true });
    let truncated = over_udp(dns.address(), &question(RecordType::A)).await;
    assert!(truncated.metadata.truncation);
    let whole = over_tcp(dns.address(), &question(RecordType::A)).await;
    assert!(!whole.metadata.truncation);
    assert_eq!(addresses(&whole), all);
    assert_eq!(dns.queries_over_tcp(NAME), 1);
}

#[tokio::test]
async fn fifty_tasks_fit_a_datagram_only_with_edns() {
    let dns = Dns::start().await;
    dns.set(NAME, Answer::addresses((1..=50).map(|task| [10, 0, 1, task])));
    let mut question = question(RecordType::A);
    assert!(over_udp(dns.address(), &question).await.metadata.truncation);
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    question.set_edns(edns);
    assert_eq!(addresses(&over_udp(dns.address(), &question).await).len(), 50);
}
