//! The settings as flags and variables give them, and the files that they name.

use std::{
    cell::RefCell,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use process::chain;

use crate::{
    files::Contents,
    location::{Change, Location, LocationError},
    login::Login,
};

// The names of the settings, as errors show them. Every program that uses Redis has the same ones.
const URL: &str = "--redis-url (REDIS_URL)";
const URL_FILE: &str = "--redis-url-file (REDIS_URL_FILE)";
const CA_FILE: &str = "--redis-ca-file (REDIS_CA_FILE)";
const SENTINELS: &str = "--redis-sentinels (REDIS_SENTINELS)";
const MASTER: &str = "--redis-master (REDIS_MASTER)";
const USER_FILE: &str = "--redis-user-file (REDIS_USER_FILE)";
const PASSWORD_FILE: &str = "--redis-password-file (REDIS_PASSWORD_FILE)";
const SENTINEL_USER_FILE: &str = "--sentinel-user-file (SENTINEL_USER_FILE)";
const SENTINEL_PASSWORD_FILE: &str = "--sentinel-password-file (SENTINEL_PASSWORD_FILE)";

/// Why changed files are not used: the count would continue from another number.
const OTHER: &str = "they name another Redis; restart the program to use that";

/// What the flags and variables say about Redis.
#[derive(Clone, Default)]
pub struct Settings {
    /// `--redis-url`
    pub url: Option<String>,
    /// `--redis-url-file`
    pub url_file: Option<PathBuf>,
    /// `--redis-ca-file`
    pub ca_file: Option<PathBuf>,
    /// `--redis-sentinels`
    pub sentinels: Option<String>,
    /// `--redis-master`
    pub master: String,
    /// `--redis-user-file`
    pub user_file: Option<PathBuf>,
    /// `--redis-password-file`
    pub password_file: Option<PathBuf>,
    /// `--sentinel-user-file`
    pub sentinel_user_file: Option<PathBuf>,
    /// `--sentinel-password-file`
    pub sentinel_password_file: Option<PathBuf>,
}

impl Settings {
    /// The Redis that the settings describe, or `None` if they describe none. `read` reads a file. Later, the files are
    /// read again from the file system: see [`Location::follow`].
    ///
    /// # Errors
    /// Every setting that is wrong, or contradicts another. Each error names the setting and says what to write.
    pub fn load(&self, read: impl Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Option<Location>, Vec<SettingsError>> {
        let contents = RefCell::new(Contents::default());
        let read = |setting, path: &Path| {
            let content = read(path);
            contents.borrow_mut().note(path, &content);
            content.map_err(|error| SettingsError::Read(setting, path.to_owned(), error))
        };
        let location = self.locate(&read)?;
        let fingerprint = contents.borrow().fingerprint();
        Ok(location.map(|location| match self.paths().next() {
            Some(_) => self.with_source(location, fingerprint),
            None => location,
        }))
    }

    /// Adds to a location how to read the files again.
    fn with_source(&self, location: Location, fingerprint: u64) -> Location {
        let settings = self.clone();
        let (place, database) = (location.place().clone(), location.newest().1.server.db());
        let source = move |known| {
            let contents = Contents::read(settings.paths());
            let fingerprint = contents.fingerprint();
            if fingerprint == known {
                return None;
            }
            let location = match settings.load(|path| contents.file(path)) {
                Ok(Some(location)) => location.keys_for(&place, database).ok_or_else(|| OTHER.to_owned()),
                Ok(None) => Err(OTHER.to_owned()),
                Err(errors) => {
                    let errors: Vec<_> = errors.iter().map(|error| chain(error).to_string()).collect();
                    Err(errors.join("; "))
                }
            };
            Some(Change { fingerprint, location })
        };
        location.with_source(Arc::new(source), fingerprint)
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let logins = [&self.user_file, &self.password_file, &self.sentinel_user_file, &self.sentinel_password_file];
        [&self.url_file, &self.ca_file].into_iter().chain(logins).filter_map(Option::as_ref)
    }

    fn locate(&self, read: Read<'_>) -> Result<Option<Location>, Vec<SettingsError>> {
        if let Some(list) = &self.sentinels {
            return self.by_sentinels(list, read).map(Some);
        }
        let login_files = self.login_files().into_iter().filter(|(_setting, path)| path.is_some());
        let mut errors: Vec<_> = login_files.map(|(setting, _path)| SettingsError::WithoutSentinels(setting)).collect();
        match self.by_url(read) {
            Ok(location) if errors.is_empty() => return Ok(location),
            Ok(_) => {}
            Err(error) => errors.push(error),
        }
        Err(errors)
    }

    fn by_sentinels(&self, list: &str, read: Read<'_>) -> Result<Location, Vec<SettingsError>> {
        let mut errors = Vec::new();
        if self.url.is_some() || self.url_file.is_some() {
            errors.push(SettingsError::SentinelsAndUrl);
        }
        if self.ca_file.is_some() {
            errors.push(SettingsError::CaWithSentinels);
        }
        let [user, password, sentinel_user, sentinel_password] = self.login_files().map(|(setting, path)| {
            let login = path.map(|path| line(setting, &read(setting, path)?)).transpose();
            login.unwrap_or_else(|error| {
                errors.push(error);
                None
            })
        });
        let redis = Login { user, password };
        let sentinel = Login { user: sentinel_user, password: sentinel_password };
        match Location::sentinels(list, &self.master, &redis, &sentinel) {
            Ok(location) if errors.is_empty() => return Ok(location),
            Ok(_) => {}
            Err(error @ LocationError::NoMaster) => errors.push(SettingsError::Location(MASTER, error)),
            Err(error) => errors.push(SettingsError::Location(SENTINELS, error)),
        }
        Err(errors)
    }

    fn by_url(&self, read: Read<'_>) -> Result<Option<Location>, SettingsError> {
        let (setting, url) = match (&self.url, &self.url_file) {
            (Some(_), Some(_)) => return Err(SettingsError::TwoUrls),
            (Some(url), None) => (URL, url.clone()),
            (None, Some(path)) if path.to_string_lossy().contains("://") => return Err(SettingsError::UrlForFile),
            (None, Some(path)) => (URL_FILE, String::from_utf8_lossy(&read(URL_FILE, path)?).into_owned()),
            (None, None) if self.ca_file.is_some() => return Err(SettingsError::CaWithoutUrl),
            (None, None) => return Ok(None),
        };
        let ca = self.ca_file.as_ref().map(|path| read(CA_FILE, path)).transpose()?;
        Location::url(url.trim(), ca).map(Some).map_err(|error| match error {
            LocationError::Ca(_) | LocationError::CaWithoutTls => SettingsError::Location(CA_FILE, error),
            _ => SettingsError::Location(setting, error),
        })
    }

    /// The files that hold users and passwords, which only sentinels need: a URL holds its own.
    fn login_files(&self) -> [(&'static str, Option<&Path>); 4] {
        [
            (USER_FILE, self.user_file.as_deref()),
            (PASSWORD_FILE, self.password_file.as_deref()),
            (SENTINEL_USER_FILE, self.sentinel_user_file.as_deref()),
            (SENTINEL_PASSWORD_FILE, self.sentinel_password_file.as_deref()),
        ]
    }
}

/// Reads the file that a setting names.
type Read<'a> = &'a dyn Fn(&'static str, &Path) -> Result<Vec<u8>, SettingsError>;

/// The only line of a secret file, without its line end.
fn line(setting: &'static str, bytes: &[u8]) -> Result<String, SettingsError> {
    let text = str::from_utf8(bytes).map_err(|_| SettingsError::Secret(setting))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() || text.contains(['\r', '\n']) {
        return Err(SettingsError::Secret(setting));
    }
    Ok(text.to_owned())
}

/// A setting that cannot be used, and what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// There are two URLs.
    #[error("{URL} and {URL_FILE} are both set: unset one of them")]
    TwoUrls,
    /// The setting that names a file holds the URL itself. Not repeated: it may hold a password.
    #[error("{URL_FILE} is a URL: name a file that holds it, or set {URL} instead")]
    UrlForFile,
    /// There are a URL and sentinels.
    #[error("{SENTINELS} cannot be combined with {URL} or {URL_FILE}: unset one of them")]
    SentinelsAndUrl,
    /// Sentinels and the servers that they name are reached without TLS.
    #[error("{CA_FILE} cannot be used with {SENTINELS}, which name servers without TLS: unset one of them")]
    CaWithSentinels,
    /// A login file is of no use without sentinels.
    #[error("{0} is set without {SENTINELS}: set that, or put the login into the URL")]
    WithoutSentinels(&'static str),
    /// A certificate authority is of no use without a URL.
    #[error("{CA_FILE} is set without {URL} or {URL_FILE}: set one, or unset it")]
    CaWithoutUrl,
    /// A secret file does not hold exactly one line. Not repeated: it may be a password.
    #[error("{0} names a file that holds no line of text, or several: write one")]
    Secret(&'static str),
    /// A file cannot be read.
    #[error("{0} names {1:?}, which cannot be read")]
    Read(&'static str, PathBuf, #[source] io::Error),
    /// The value of a setting is wrong.
    #[error("{0} cannot be used")]
    Location(&'static str, #[source] LocationError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("url") => Ok(b"redis://:s3cret@from-file\n".to_vec()),
            Some("secret") => Ok(b"s3cret\r\n".to_vec()),
            Some("lines") => Ok(b"s3cret\ns3cret\n".to_vec()),
            Some("binary") => Ok(vec![0xff]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn path(text: &str) -> Option<PathBuf> {
        Some(PathBuf::from(text))
    }

    fn sentinels_of_a() -> Settings {
        Settings { sentinels: Some("a".into()), master: "counter".into(), ..Settings::default() }
    }

    #[test]
    fn a_url_comes_from_the_setting_or_from_a_file_and_none_is_no_error() {
        let table = [
            (Settings::default(), None),
            (Settings { url: Some("redis://r".into()), ..Settings::default() }, Some("r:6379")),
            (Settings { url_file: path("url"), ..Settings::default() }, Some("from-file:6379")),
            (Settings { password_file: path("secret"), ..sentinels_of_a() }, Some("counter by a:26379")),
        ];
        for (settings, shown) in table {
            let location = settings.load(read).unwrap().map(|location| location.to_string());
            assert_eq!(location.as_deref(), shown);
        }
    }

    #[test]
    fn the_logins_of_servers_and_sentinels_stay_apart() {
        let settings =
            Settings { user_file: path("secret"), sentinel_password_file: path("secret"), ..sentinels_of_a() };
        let keys = settings.load(read).unwrap().unwrap().newest().1;
        assert_eq!((keys.server.username(), keys.server.password()), (Some("s3cret"), None));
        assert_eq!((keys.sentinel.username(), keys.sentinel.password()), (None, Some("s3cret")));
    }

    #[test]
    fn a_secret_file_holds_exactly_one_line() {
        for file in ["lines", "binary"] {
            let settings = Settings { password_file: path(file), ..sentinels_of_a() };
            let errors = settings.load(read).unwrap_err();
            assert!(matches!(errors[..], [SettingsError::Secret(PASSWORD_FILE)]), "{file}: {errors:?}");
            assert!(!format!("{} {errors:?}", errors[0]).contains("s3cret"));
        }
    }

    #[test]
    fn every_error_is_returned() {
        let files = Settings { user_file: path("gone"), password_file: path("lines"), ..Settings::default() };
        let by_sentinels = Settings {
            sentinels: Some("a:x, b:0".into()),
            url: Some("redis://r".into()),
            ca_file: path("gone"),
            ..files.clone()
        };
        let errors = |settings: Settings| -> Vec<String> {
            settings.load(read).unwrap_err().iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            errors(by_sentinels),
            [
                "--redis-sentinels (REDIS_SENTINELS) cannot be combined with --redis-url (REDIS_URL) or \
                 --redis-url-file (REDIS_URL_FILE): unset one of them",
                "--redis-ca-file (REDIS_CA_FILE) cannot be used with --redis-sentinels (REDIS_SENTINELS), which name \
                 servers without TLS: unset one of them",
                "--redis-user-file (REDIS_USER_FILE) names \"gone\", which cannot be read",
                "--redis-password-file (REDIS_PASSWORD_FILE) names a file that holds no line of text, or several: \
                 write one",
                "--redis-sentinels (REDIS_SENTINELS) cannot be used",
            ]
        );
        let by_url = errors(Settings { url: Some("http://r".into()), ..files });
        assert_eq!(by_url.len(), 3, "{by_url:?}");
    }
}
