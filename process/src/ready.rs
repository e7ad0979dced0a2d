//! Tells the service manager that the program has started: `sd_notify(3)`.

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// Sends `READY=1` to the socket that the variable `NOTIFY_SOCKET` names. Without the variable it does nothing.
///
/// # Errors
/// The message cannot be sent.
pub fn notify_ready() -> io::Result<()> {
    match env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) {
        Some(path) => notify(&path),
        None => Ok(()),
    }
}

fn notify(path: &OsStr) -> io::Result<()> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn received(socket: &UnixDatagram) -> Vec<u8> {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    #[test]
    fn the_manager_is_notified_at_a_path_and_at_an_abstract_name() {
        let name = format!("edge-ready-{}", std::process::id());
        let path = env::temp_dir().join(&name);
        let at_path = UnixDatagram::bind(&path).unwrap();
        let sent = notify(path.as_os_str());
        std::fs::remove_file(&path).unwrap();
        sent.unwrap();
        assert_eq!(received(&at_path), b"READY=1");

        let at_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        notify(&OsString::from(format!("@{name}"))).unwrap();
        assert_eq!(received(&at_name), b"READY=1");

        drop(at_name);
        notify(&OsString::from(format!("@{name}"))).unwrap_err();
    }
}
