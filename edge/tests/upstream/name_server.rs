//! A name server whose answers a test sets.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use hickory_server::{
    Server,
    net::{runtime::Time, xfer::Protocol},
    proto::{
        op::{Header, HeaderCounts, Metadata, ResponseCode},
        rr::{RData, Record},
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use tokio::net::{TcpListener, UdpSocket};

use crate::settings::DEADLINE;

/// How a [`NameServer`] answers a query.
#[derive(Clone)]
pub(crate) enum Reply {
    Addresses(Vec<IpAddr>),
    Code(ResponseCode),
    Silence,
}

/// A name server on loopback, over UDP and TCP on one port.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    pub(crate) zone: Zone,
    _server: Server<Zone>,
}

#[derive(Clone, Default)]
pub(crate) struct Zone {
    /// By name without the final dot.
    names: Arc<Mutex<BTreeMap<String, Reply>>>,
    pub(crate) over_tcp: Arc<AtomicUsize>,
    pub(crate) questions: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    pub(crate) async fn start() -> Self {
        let zone = Zone::default();
        let mut server = Server::new(zone.clone());
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (tcp, udp);
            }
        };
        let address = tcp.local_addr().unwrap();
        server.register_socket(udp);
        server.register_listener(tcp, DEADLINE, 16);
        Self { address, zone, _server: server }
    }

    pub(crate) fn set(&self, name: &str, reply: Reply) {
        self.zone.names.lock().unwrap().insert(name.to_owned(), reply);
    }

    pub(crate) fn set_addresses(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.set(name, Reply::Addresses(addresses));
    }
}

#[async_trait::async_trait]
impl RequestHandler for Zone {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut client: R) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let unsent = ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() });
        let Ok(info) = request.request_info() else { return unsent };
        if request.protocol() == Protocol::Tcp {
            self.over_tcp.fetch_add(1, Relaxed);
        }
        let name = info.query.original().name().clone();
        let key = name.to_string().trim_end_matches('.').to_owned();
        self.questions.lock().unwrap().push(key.clone());
        let reply = self.names.lock().unwrap().get(&key).cloned().unwrap_or(Reply::Code(ResponseCode::NXDomain));
        let mut records = Vec::new();
        match reply {
            Reply::Silence => return unsent,
            Reply::Code(code) => metadata.response_code = code,
            Reply::Addresses(addresses) => {
                let data = addresses.into_iter().map(RData::from);
                let data = data.filter(|data| data.record_type() == info.query.query_type());
                records = data.map(|data| Record::from_rdata(name.clone(), 600, data)).collect();
            }
        }
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = request.edns.as_ref() {
            builder.edns(edns);
        }
        client.send_response(builder.build(metadata, &records, [], [], [])).await.unwrap_or(unsent)
    }
}
