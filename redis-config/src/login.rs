//! How to log in.

use std::fmt;

use redis::{ProtocolVersion, RedisConnectionInfo};

/// A user and a password, where they are needed. Never displayed.
#[derive(Clone, Default)]
pub struct Login {
    /// The user in the access control list. Default: the server's user `default`.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
}

impl Login {
    pub(crate) fn connection_info(&self) -> RedisConnectionInfo {
        let mut info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
        if let Some(user) = &self.user {
            info = info.set_username(user);
        }
        if let Some(password) = &self.password {
            info = info.set_password(password);
        }
        info
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}
