//! Access control: clients with a password or a token; without either, clients on this machine, or everyone if the
//! operator says so.

use std::{fmt, net::IpAddr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use subtle::{Choice, ConstantTimeEq};

use super::response::{Response, text};

/// Fields by which a proxy says that it forwards a request: the client is not on this machine then.
static FORWARDED: [HeaderName; 3] =
    [header::FORWARDED, HeaderName::from_static("x-forwarded-for"), HeaderName::from_static("x-real-ip")];

/// Who may read the page. By default clients on this machine.
#[derive(Clone, Default)]
pub struct Access {
    /// Whether everyone has access, also without a secret.
    everyone: bool,
    /// Accepted values of `Authorization`, complete. Never displayed.
    accepted: Vec<HeaderValue>,
    /// Whether one of them is a password, which a browser can ask for.
    has_password: bool,
}

/// Why a secret cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The password file is malformed.
    #[error("write one line with the user, a colon and the password, without control characters")]
    Password,
    /// The token file is malformed.
    #[error("write one line with a token of letters, digits and the characters -._~+/=")]
    Token,
}

impl Access {
    /// Accepts everyone.
    #[must_use]
    pub fn everyone() -> Self {
        Self { everyone: true, ..Self::default() }
    }

    /// Accepts `user:password` in the Basic scheme (RFC 7617), which browsers ask for.
    ///
    /// # Errors
    /// The user, the colon or the password is missing, or a character cannot be sent.
    pub fn password(mut self, pair: &str) -> Result<Self, AccessError> {
        let is_pair = pair.split_once(':').is_some_and(|(user, password)| !user.is_empty() && !password.is_empty());
        if !is_pair || pair.chars().any(char::is_control) {
            return Err(AccessError::Password);
        }
        let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
        self.accepted.push(HeaderValue::try_from(value).map_err(|_| AccessError::Password)?);
        self.has_password = true;
        Ok(self)
    }

    /// Accepts `token` in the Bearer scheme (RFC 6750), which programs send.
    ///
    /// # Errors
    /// The token is empty or contains a character that is not allowed.
    pub fn token(mut self, token: &str) -> Result<Self, AccessError> {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        if token.is_empty() || !token.chars().all(is_token) {
            return Err(AccessError::Token);
        }
        let value = HeaderValue::try_from(format!("Bearer {token}"));
        self.accepted.push(value.map_err(|_| AccessError::Token)?);
        Ok(self)
    }

    /// Whether only clients on this machine have access.
    #[must_use]
    pub fn is_local(&self) -> bool {
        !self.everyone && self.accepted.is_empty()
    }

    /// Returns the credentials for another instance with the same settings.
    #[must_use]
    pub fn credentials(&self) -> Option<HeaderValue> {
        self.accepted.first().cloned().map(|mut value| {
            value.set_sensitive(true);
            value
        })
    }

    pub(super) fn allows(&self, headers: &HeaderMap, client: IpAddr) -> bool {
        if self.everyone {
            return true;
        }
        if self.is_local() {
            let is_forwarded = FORWARDED.iter().any(|name| headers.contains_key(name));
            return client.to_canonical().is_loopback() && !is_forwarded;
        }
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some(value) = with_canonical_scheme(value) else { return false };
        // Every value is compared completely, so the time reveals only lengths.
        let matches = |accepted: &HeaderValue| accepted.as_bytes().ct_eq(&value);
        self.accepted.iter().map(matches).fold(Choice::from(0), |any, one| any | one).into()
    }

    /// Returns the response to a client without access.
    pub(super) fn refusal(&self) -> Response {
        if self.is_local() {
            return text(
                StatusCode::FORBIDDEN,
                "neither a password nor a token is configured, so only clients on this machine may read this page: set \
                 --password-file (WATCH_PASSWORD_FILE) or --token-file (WATCH_TOKEN_FILE), which deploy/up.sh does for a \
                 stack, or set --open (WATCH_OPEN=yes) to let everyone read it\n",
            );
        }
        let mut response = text(StatusCode::UNAUTHORIZED, "a password or a token is required\n");
        let scheme = if self.has_password { "Basic realm=\"watch\", charset=\"UTF-8\"" } else { "Bearer" };
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        response
    }
}

/// Returns the value with the canonical spelling of its scheme, which is case-insensitive.
fn with_canonical_scheme(value: &HeaderValue) -> Option<Vec<u8>> {
    let bytes = value.as_bytes();
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = bytes.split_at(space);
    let canonical =
        [&b"Basic"[..], b"Bearer"].into_iter().find(|scheme_name| scheme_name.eq_ignore_ascii_case(scheme))?;
    Some([canonical, rest].concat())
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.everyone, self.accepted.len(), self.has_password) {
            (true, ..) => "everyone",
            (_, 0, _) => "clients on this machine",
            (_, 1, true) => "clients with the password",
            (_, 1, false) => "clients with the token",
            _ => "clients with the password or the token",
        })
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));

    fn allows(access: &Access, values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        access.allows(&headers, STRANGER)
    }

    #[test]
    fn without_a_secret_only_clients_on_this_machine_have_access() {
        let allows = |access: Access, client: &str, field: Option<HeaderName>| {
            let headers: HeaderMap = field.into_iter().map(|name| (name, HeaderValue::from_static("a"))).collect();
            access.allows(&headers, client.parse().unwrap())
        };
        for (client, expected) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.9", false),
            ("172.17.0.1", false),
            ("::ffff:10.0.0.9", false),
        ] {
            assert_eq!(allows(Access::default(), client, None), expected, "{client}");
            assert!(allows(Access::everyone(), client, None));
        }
        for name in FORWARDED.clone() {
            assert!(!allows(Access::default(), "127.0.0.1", Some(name)), "a proxy on this machine");
        }
        let refusal = Access::default().refusal();
        assert_eq!(refusal.status(), StatusCode::FORBIDDEN);
        assert!(!refusal.headers().contains_key(header::WWW_AUTHENTICATE), "no login would help");
    }

    #[test]
    fn only_clients_with_a_secret_have_access() {
        let access = Access::default().password("ops:s3cret").unwrap().token("t0ken").unwrap();
        for good in ["Basic b3BzOnMzY3JldA==", "basic b3BzOnMzY3JldA==", "Bearer t0ken", "BEARER t0ken"] {
            assert!(allows(&access, &[good]), "{good}");
        }
        for bad in ["", "Basic", "Basic b3BzOnMzY3Jl", "Bearer t0ke", "Bearer t0ken2", "Bearer  t0ken", "Basic t0ken"] {
            assert!(!allows(&access, &[bad]), "{bad}");
        }
        assert!(!allows(&access, &[]));
        assert!(!allows(&access, &["Bearer t0ken", "Bearer t0ken"]), "two values are rejected");
        assert!(!allows(&Access::default(), &[]));
        assert!(allows(&Access::everyone(), &[]));
    }

    #[test]
    fn a_browser_is_asked_for_a_password_if_one_is_configured() {
        let challenge = |access: Access| {
            let response = access.refusal();
            response.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().to_owned()
        };
        let token = Access::default().token("t").unwrap();
        assert_eq!(challenge(token.clone()), "Bearer");
        assert!(challenge(token.password("a:b").unwrap()).starts_with("Basic "));
    }

    #[test]
    fn malformed_secrets_are_rejected_and_no_secret_is_displayed() {
        for pair in ["", "ops", "ops:", ":s3cret", "ops:a\nb"] {
            assert_eq!(Access::default().password(pair).unwrap_err(), AccessError::Password, "{pair:?}");
        }
        for token in ["", "a b", "a\n", "\u{e9}"] {
            assert_eq!(Access::default().token(token).unwrap_err(), AccessError::Token, "{token:?}");
        }
        let access = Access::default().password("ops:s3cret").unwrap();
        assert!(!format!("{access:?}").contains("s3cret"));
    }
}
