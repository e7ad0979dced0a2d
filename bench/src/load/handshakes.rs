//! TLS 1.3 clients, and a closed loop of handshakes.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, client,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::TLS13,
};

use super::{
    closed::{Outcome, Window},
    response_reader::ResponseReader,
};
use crate::tls::Certificate;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: www.example.com\r\nuser-agent: bench/1.0\r\naccept: */*\r\n\r\n";

/// Whether a client resumes its session with the ticket that it received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Resumption {
    Never,
    Always,
}

/// A client that opens TLS connections.
#[derive(Clone, Debug)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsClient {
    /// A client that trusts only `certificate`.
    pub(crate) fn new(certificate: &Certificate, resumption: Resumption) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(&certificate.chain)? {
            roots.add(root?)?;
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = match resumption {
            Resumption::Never => client::Resumption::disabled(),
            Resumption::Always => client::Resumption::in_memory_sessions(8),
        };
        Ok(Self { config: Arc::new(config), name: ServerName::try_from("www.example.com")? })
    }

    /// Does one handshake and waits for the server's first ticket, which ends the server's part. Returns whether the
    /// session was resumed.
    fn handshake(&self, target: SocketAddr) -> Result<bool> {
        let (mut tls, mut stream) = self.connect(target)?;
        if tls.wants_read() && tls.read_tls(&mut stream)? == 0 {
            bail!("the server closed the connection after the handshake");
        }
        tls.process_new_packets()?;
        let resumed = tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        tls.send_close_notify();
        while tls.wants_write() {
            tls.write_tls(&mut stream)?;
        }
        Ok(resumed)
    }

    /// Does a handshake, sends a request and reads its response. Returns only the socket, because the client's memory
    /// is not measured.
    pub(crate) fn request(&self, target: SocketAddr) -> Result<TcpStream> {
        let (mut tls, mut stream) = self.connect(target)?;
        tls.writer().write_all(REQUEST)?;
        let mut response = ResponseReader::http();
        let mut buffer = [0; 4096];
        loop {
            while tls.wants_write() {
                tls.write_tls(&mut stream)?;
            }
            if tls.read_tls(&mut stream)? == 0 {
                bail!("the server closed the connection without a response");
            }
            tls.process_new_packets()?;
            match tls.reader().read(&mut buffer) {
                Ok(length) if response.feed(&buffer[..length])? => return Ok(stream),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("read"),
            }
        }
    }

    fn connect(&self, target: SocketAddr) -> Result<(ClientConnection, TcpStream)> {
        let mut tls = ClientConnection::new(self.config.clone(), self.name.clone())?;
        let mut stream = TcpStream::connect(target).context("connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream).context("handshake")?;
        }
        Ok((tls, stream))
    }
}

/// Does consecutive handshakes, with one thread for each of `clients`. Reads `probe` at the beginning and at the end of
/// the measurement.
pub(crate) fn run(
    clients: &[TlsClient],
    target: SocketAddr,
    resumption: Resumption,
    window: Window,
    probe: impl Fn() -> Result<u64>,
) -> Result<Outcome> {
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter()
            .map(|client| {
                scope.spawn(|| -> Result<()> {
                    let mut first = true;
                    while !stop.load(Relaxed) {
                        let resumed = client.handshake(target)?;
                        if !first && resumed != (resumption == Resumption::Always) {
                            bail!("resumption: expected {resumption:?}, but resumed is {resumed}");
                        }
                        first = false;
                        done.fetch_add(1, Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        thread::sleep(window.warm_up);
        let (begin, before, already) = (Instant::now(), probe()?, done.load(Relaxed));
        thread::sleep(window.length);
        let (probe, responses, elapsed) = (probe()? - before, done.load(Relaxed) - already, begin.elapsed());
        stop.store(true, Relaxed);
        for thread in threads {
            thread.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        if responses == 0 {
            bail!("no handshake within {elapsed:?}");
        }
        Ok(Outcome { responses, bytes: 0, elapsed, probe })
    })
}
