//! The report as text.

use std::fmt::{self, Write};

use super::model::{AddressReport, AliasReport, CertificateReport, ProbeReport, RecordReport, Report, ResolverReport};
use crate::dns_check::{
    date::day,
    findings::{self, Finding, Level},
};

impl Report {
    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "{}", self.name)?;
        for resolver in &self.resolvers {
            resolver.write(out)?;
        }
        if self.addresses.iter().any(|address| address.http.is_some() || address.https.is_some()) {
            out.write_char('\n')?;
            self.write_addresses(out)?;
        }
        for (level, title) in [(Level::Problem, "Problems"), (Level::Hint, "Hints")] {
            let findings: Vec<_> = self.findings.iter().filter(|finding| finding.level == level).collect();
            if !findings.is_empty() {
                writeln!(out, "\n{title}")?;
            }
            write_findings(out, &findings)?;
        }
        let count = |level| self.findings.iter().filter(|finding| finding.level == level).count();
        let (problems, hints) = (counted(count(Level::Problem), "problem"), counted(count(Level::Hint), "hint"));
        match (self.well, count(Level::Hint)) {
            (true, 0) => writeln!(out, "\nNo problems."),
            (true, _) => writeln!(out, "\nNo problems, {hints}."),
            (false, 0) => writeln!(out, "\n{problems}."),
            (false, _) => writeln!(out, "\n{problems}, {hints}."),
        }
    }

    fn write_addresses(&self, out: &mut String) -> fmt::Result {
        let title = |probe: fn(&AddressReport) -> Option<&ProbeReport>, name: &str| {
            let port = self.addresses.iter().find_map(probe).map(|probe| probe.port);
            port.map(|port| format!("{name} {port}")).unwrap_or_default()
        };
        let head = ["Address".to_owned(), title(|a| a.http.as_ref(), "HTTP"), title(|a| a.https.as_ref(), "HTTPS")];
        let status = |probe: &Option<ProbeReport>| probe.as_ref().map_or("", |probe| probe.status).replace('_', " ");
        let row =
            |address: &AddressReport| [address.address.to_string(), status(&address.http), status(&address.https)];
        let rows: Vec<_> = self.addresses.iter().map(row).collect();
        let widths: Vec<usize> = (0..head.len())
            .map(|column| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default())
            .collect();
        let last = if head.iter().any(|title| title.starts_with("HTTPS")) { "Certificate" } else { "" };
        let certificate = |address: &AddressReport| address.certificate.as_ref().map_or(String::new(), summary);
        let certificates = self.addresses.iter().map(certificate);
        let rows = rows.into_iter().zip(certificates);
        for (cells, certificate) in [(head, last.to_owned())].into_iter().chain(rows) {
            let mut line = String::from("  ");
            for (cell, width) in cells.iter().zip(&widths).filter(|(_, width)| **width > 0) {
                write!(line, "{cell:width$}  ")?;
            }
            writeln!(out, "{}", format!("{line}{}", printable(&certificate)).trim_end())?;
        }
        Ok(())
    }
}

impl ResolverReport {
    fn write(&self, out: &mut String) -> fmt::Result {
        let servers = if self.resolver == "system" { format!(" ({})", self.servers.join(", ")) } else { String::new() };
        writeln!(out, "\n  resolver {}{servers}", self.resolver)?;
        let mut shown: Vec<&AliasReport> = Vec::new();
        for alias in self.a.aliases.iter().chain(&self.aaaa.aliases) {
            // The answers for A and AAAA both have the aliases.
            if !shown.iter().any(|other| other.name == alias.name) {
                writeln!(
                    out,
                    "    CNAME {} -> {}  TTL {} s",
                    printable(&alias.name),
                    printable(&alias.target),
                    alias.ttl
                )?;
                shown.push(alias);
            }
        }
        for (kind, answer) in [("A", &self.a), ("AAAA", &self.aaaa)] {
            for RecordReport { address, ttl } in &answer.records {
                writeln!(out, "    {kind:5} {address}  TTL {ttl} s")?;
            }
            if answer.records.is_empty() {
                let detail =
                    answer.detail.as_ref().map(|detail| format!(": {}", printable(detail))).unwrap_or_default();
                writeln!(out, "    {kind:5} {}{detail}", answer.status.replace('_', " "))?;
            }
        }
        Ok(())
    }
}

/// Writes findings, each advice only once, and equal messages with all their subjects.
fn write_findings(out: &mut String, findings: &[&Finding]) -> fmt::Result {
    let mut groups: Groups<'_, (&str, Vec<&str>)> = Vec::new();
    for finding in findings {
        let messages = entry(&mut groups, &finding.advice);
        entry(messages, &finding.message).push(finding.about.as_str());
    }
    for (advice, messages) in groups {
        for (message, subjects) in messages {
            writeln!(out, "  {}: {}", findings::listed(subjects), printable(message))?;
        }
        writeln!(out, "      -> {advice}")?;
    }
    Ok(())
}

/// Values with the same key, in the order of the first value of each key.
type Groups<'k, V> = Vec<(&'k str, Vec<V>)>;

/// Returns the values with a key.
fn entry<'a, 'k, V>(list: &'a mut Groups<'k, V>, key: &'k str) -> &'a mut Vec<V> {
    let index = list.iter().position(|(other, _)| *other == key).unwrap_or_else(|| {
        list.push((key, Vec::new()));
        list.len() - 1
    });
    &mut list[index].1
}

/// Describes a certificate in a few words.
fn summary(certificate: &CertificateReport) -> String {
    if certificate.stand_in {
        return "self-signed stand-in".to_owned();
    }
    let trust = match certificate.trusted {
        Some(true) => "trusted",
        Some(false) => "not trusted",
        None => "trust unknown",
    };
    let names = if certificate.names.is_empty() { "no name".to_owned() } else { certificate.names.join(", ") };
    format!("{names}; until {}; {trust}", day(certificate.not_after))
}

/// Returns text from the network with control characters replaced, which could affect the terminal, and shortened to
/// what fits there.
fn printable(text: &str) -> String {
    const MAX_CHARS: usize = 300;
    let shown: String = text.chars().take(MAX_CHARS).map(|c| if c.is_control() { '?' } else { c }).collect();
    if shown.len() < text.len() { shown + "..." } else { shown }
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
