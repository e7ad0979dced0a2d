//! The endpoints that a file lists.
//!
//! Pure; [`client`] reads the file. A line has an address and, if it should not have the defaults, options:
//!
//! ```text
//! # of the first rack
//! 10.0.0.1:8000
//! 10.0.0.2:8000 weight=2 zone=zurich-1
//! 10.0.0.9:8000 backup
//! ```
//!
//! A file is used as a whole or not at all: with an error in any line, the last good version stays in use. An empty file
//! is an error as well, because it is more likely half written than meant. So is one that is missing.

pub(in crate::upstream) mod client;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use super::{answer::AddressSet, listing::Listing};
use crate::{
    config::{BACKUP, EndpointOptions, MAX_TIER, MAX_WEIGHT, Source, address, value},
    upstream::pool::MAX_ENDPOINTS,
};

/// Parses the contents of a file.
///
/// # Errors
/// The first line that is wrong, with the reason.
fn parse(contents: &[u8]) -> Result<Listing, String> {
    // The byte order mark of UTF-8, which some editors write.
    let contents = contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(contents);
    let mut endpoints = BTreeMap::new();
    for (line, number) in contents.split(|byte| *byte == b'\n').zip(1_usize..) {
        let (address, options) = match parse_line(line) {
            Ok(Some(endpoint)) => endpoint,
            Ok(None) => continue,
            Err(reason) => return Err(format!("line {number}: {reason}")),
        };
        if endpoints.insert(address, options).is_some() {
            return Err(format!("line {number}: {address} is listed twice: remove one of them"));
        }
        if endpoints.len() > MAX_ENDPOINTS {
            return Err(format!("line {number}: there are more than {MAX_ENDPOINTS} endpoints"));
        }
    }
    if endpoints.is_empty() {
        return Err("no endpoint is listed".to_owned());
    }
    Ok(Listing { endpoints, warning: None })
}

/// Parses one line; `None` if it is blank or a comment.
fn parse_line(line: &[u8]) -> Result<Option<(SocketAddr, EndpointOptions)>, String> {
    let line = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_whitespace();
    let Some(endpoint) = words.next() else { return Ok(None) };
    let address = parse_address(endpoint)?;
    let mut options = EndpointOptions::default();
    let mut seen = Vec::new();
    for word in words {
        let (key, text) = word.split_once('=').map_or((word, None), |(key, text)| (key, Some(text)));
        match (key, text) {
            ("weight", Some(text)) => {
                options.weight = value::number(text, 10, 1, MAX_WEIGHT).map_err(in_option(key))?;
            }
            ("tier", Some(text)) => {
                options.tier = value::number(text, 10, 1, MAX_TIER).map_err(in_option(key))?;
            }
            ("zone", Some(text)) => options.zone = Some(value::zone(text).map_err(in_option(key))?),
            ("backup", None) => options.tier = BACKUP,
            _ => {
                return Err(format!(
                    "{:?} is not an option: write weight=NUMBER, tier=NUMBER, zone=NAME or backup",
                    short(word)
                ));
            }
        }
        if seen.contains(&key) {
            return Err(format!("{key} is given twice: remove one of them"));
        }
        seen.push(key);
    }
    if seen.contains(&"tier") && seen.contains(&"backup") {
        return Err("tier contradicts backup, which is a tier of its own: remove one of the two".to_owned());
    }
    Ok(Some((address, options)))
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if text.len() > MAX_WORD {
        return Err(format!("{:?} is not an address", short(text)));
    }
    match address::endpoint(text, Err(""))? {
        Source::Address(address) if AddressSet::is_usable(&address.ip()) => Ok(canonical(address)),
        Source::Address(_) => Err(format!("{text:?} cannot be connected to: write the address of an endpoint")),
        _ => Err(format!("{text:?} is not an address: write those of the endpoints, and anything else in `endpoints`")),
    }
}

/// The length of a word in bytes above which it is certainly wrong, and is not repeated in full.
const MAX_WORD: usize = 64;

/// The beginning of a word, enough to recognise it.
fn short(word: &str) -> String {
    word.chars().take(MAX_WORD).collect()
}

fn in_option(key: &str) -> impl Fn(String) -> String + '_ {
    move |message| format!("{key}: {message}")
}

/// Two spellings of an address are one endpoint.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => (ip, address.port()).into(),
        IpAddr::V6(_) => address,
    }
}

/// The addresses that the contents of a file list. The fuzz target calls this.
///
/// # Errors
/// What is wrong with the contents.
pub fn addresses_in_file(contents: &[u8]) -> Result<Vec<SocketAddr>, String> {
    parse(contents).map(|listing| listing.endpoints.into_keys().collect())
}

#[cfg(test)]
mod tests;
