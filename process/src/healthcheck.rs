//! The subcommand `healthcheck` of each program: asks the program on this machine whether it is alive. The image
//! has no shell and no curl, so the program asks itself, by plain blocking calls without a runtime.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// The timeout of the whole check. The orchestrator's own timeout must be longer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Succeeds if the program that listens on `listen` answers `/healthz` with 200 within two seconds.
///
/// # Errors
/// The connection is refused, or there is no answer in time, or it has another status.
pub fn healthcheck(listen: SocketAddr) -> io::Result<()> {
    ask(listen).map_err(|error| match error.kind() {
        // A socket's timeout is reported as `WouldBlock`.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {TIMEOUT:?}"))
        }
        _ => error,
    })
}

fn ask(listen: SocketAddr) -> io::Result<()> {
    let end = Instant::now() + TIMEOUT;
    // Zero would mean no timeout.
    let left = || end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let (address, other) = reachable(listen);
    let mut stream = match (TcpStream::connect_timeout(&address, left()), other) {
        (Err(_), Some(other)) => TcpStream::connect_timeout(&other, left())?,
        (connected, _) => connected?,
    };
    stream.set_write_timeout(Some(left()))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    const OK: &[u8] = b"HTTP/1.1 200 ";
    let mut status = [0; OK.len()];
    let mut filled = 0;
    while filled < status.len() {
        stream.set_read_timeout(Some(left()))?;
        match stream.read(&mut status[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => filled += n,
        }
        if Instant::now() >= end {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    if status == OK {
        return Ok(());
    }
    Err(io::Error::other(format!("answered {:?}", String::from_utf8_lossy(&status))))
}

/// The address at which to reach a listener, and another if that is refused: loopback addresses if it listens on all.
fn reachable(listen: SocketAddr) -> (SocketAddr, Option<SocketAddr>) {
    let at = |ip: IpAddr| SocketAddr::new(ip, listen.port());
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (at(Ipv4Addr::LOCALHOST.into()), None),
        // `[::]` accepts IPv4, too, and a container may have no IPv6 address at all.
        IpAddr::V6(ip) if ip.is_unspecified() => (at(Ipv6Addr::LOCALHOST.into()), Some(at(Ipv4Addr::LOCALHOST.into()))),
        IpAddr::V4(_) | IpAddr::V6(_) => (listen, None),
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, sync::mpsc};

    use super::*;

    /// A server that accepts once and sends `answer`.
    fn server(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 16];
            stream.read_exact(&mut request).unwrap();
            assert_eq!(&request, b"GET /healthz HTT");
            stream.write_all(answer).unwrap();
            if answer.is_empty() {
                // Silent but open for longer than the client waits.
                drop(stream.read_to_end(&mut Vec::new()));
            }
        });
        address
    }

    #[test]
    fn only_200_is_healthy() {
        healthcheck(server(b"HTTP/1.1 200 OK\r\n\r\n")).unwrap();
        healthcheck(server(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")).unwrap_err();
        healthcheck(server(b"HTTP/1.1 200")).unwrap_err();
    }

    #[test]
    fn a_silent_server_fails_the_check_in_time() {
        let (checked, result) = mpsc::channel();
        std::thread::spawn(move || checked.send(healthcheck(server(b""))).unwrap());
        // Only guards against a hang: the server stays silent until the check ends.
        let error = result.recv_timeout(Duration::from_secs(30)).unwrap().unwrap_err();
        assert_eq!(error.to_string(), "no answer within 2s");
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_by_loopback_and_any_other_by_its_own() {
        for (listen, reached, other) in [
            ("0.0.0.0:8000", "127.0.0.1:8000", None),
            ("[::]:8000", "[::1]:8000", Some("127.0.0.1:8000")),
            ("192.0.2.1:80", "192.0.2.1:80", None),
        ] {
            let expected = (reached.parse().unwrap(), other.map(|other| other.parse().unwrap()));
            assert_eq!(reachable(listen.parse().unwrap()), expected);
        }
    }

    #[test]
    fn a_listener_on_every_address_is_reached_by_ipv4_where_ipv6_is_refused() {
        let mut listen = server(b"HTTP/1.1 200 OK\r\n\r\n");
        listen.set_ip(Ipv6Addr::UNSPECIFIED.into());
        healthcheck(listen).unwrap();
    }
}
