//! What happens to files with secrets on their way to a machine: lost line ends, another encoding, half a file, the wrong
//! file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// A way in which a file is damaged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Damage {
    /// For the message of a failure.
    pub(crate) name: &'static str,
    apply: fn(&str) -> Vec<u8>,
    place: Place,
}

/// What is at the path of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    File,
    /// Which the superuser can read nevertheless.
    UnreadableFile,
    Folder,
    Nothing,
}

impl Damage {
    /// Returns the damaged text of a secret.
    pub(crate) fn of(&self, secret: &str) -> Vec<u8> {
        (self.apply)(secret)
    }

    /// Returns the damaged text of a secret, if it can be the value of a variable or an argument.
    pub(crate) fn value(&self, secret: &str) -> Option<Vec<u8>> {
        // Linux accepts 128 KiB.
        let value = self.of(secret);
        (self.place == Place::File && !value.contains(&0) && value.len() < 100_000).then_some(value)
    }

    /// Puts the damaged secret at a path.
    pub(crate) fn put(&self, secret: &str, path: &Path) {
        match self.place {
            Place::Nothing => {}
            Place::Folder => fs::create_dir(path).expect("a folder"),
            Place::File => fs::write(path, self.of(secret)).expect("a file"),
            Place::UnreadableFile => {
                fs::write(path, self.of(secret)).expect("a file");
                fs::set_permissions(path, fs::Permissions::from_mode(0o000)).expect("an own file");
            }
        }
    }
}

/// Returns all damages.
pub(crate) fn damages() -> Vec<Damage> {
    let texts = TEXTS.iter().map(|(name, apply)| Damage { name, apply: *apply, place: Place::File });
    let places =
        [("cannot be read", Place::UnreadableFile), ("is a folder", Place::Folder), ("does not exist", Place::Nothing)];
    texts.chain(places.map(|(name, place)| Damage { name, apply: |text| text.into(), place })).collect()
}

type Apply = fn(&str) -> Vec<u8>;

const TEXTS: [(&str, Apply); 58] = [
    ("unchanged", |text| text.into()),
    ("without line ends", |text| text.replace('\n', "").into()),
    ("spaces for line ends", |text| text.replace('\n', " ").into()),
    ("literal \\n", |text| text.replace('\n', "\\n").into()),
    ("literal \\r\\n", |text| text.replace('\n', "\\r\\n").into()),
    ("CR LF", |text| text.replace('\n', "\r\n").into()),
    ("CR", |text| text.replace('\n', "\r").into()),
    ("doubled line ends", |text| text.replace('\n', "\n\n").into()),
    ("no last line end", |text| text.trim_end().into()),
    ("no first line end", |text| text.replacen('\n', "", 1).into()),
    ("empty lines before", |text| format!("\n\n{text}").into()),
    ("empty lines after", |text| format!("{text}\n\n").into()),
    ("spaces at the ends of lines", |text| text.replace('\n', "   \n").into()),
    ("indented by spaces", |text| indented(text, "  ").into()),
    ("indented by tabs", |text| indented(text, "\t").into()),
    ("a comment", |text| indented(text, "# ").into()),
    ("quoted", |text| format!("\"{text}\"").into()),
    ("quoted for a shell", |text| format!("'{text}'").into()),
    ("with a name", |text| format!("SECRET={text}").into()),
    ("exported", |text| format!("export SECRET=\"{text}\"\n").into()),
    ("in YAML", |text| format!("secret: |\n{}", indented(text, "  ")).into()),
    ("in JSON", |text| serde_json::json!({ "secret": text }).to_string().into()),
    ("a string of JSON", |text| serde_json::json!(text).to_string().into()),
    ("joined by +", |text| text.lines().map(|line| format!("\"{line}\\n\" +\n")).collect::<String>().into()),
    ("in HTML", |text| format!("<html><body><pre>{text}</pre></body></html>").into()),
    ("an answer of HTTP", |text| format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n{text}").into()),
    ("after a prompt", |text| format!("root@host:~# cat secret\n{text}root@host:~# ").into()),
    ("smart dashes", |text| text.replace("--", "\u{2013}").into()),
    ("a byte order mark", |text| format!("\u{feff}{text}").into()),
    ("UTF-16, little end first", |text| utf16(&format!("\u{feff}{text}"), u16::to_le_bytes)),
    ("UTF-16, big end first", |text| utf16(&format!("\u{feff}{text}"), u16::to_be_bytes)),
    ("UTF-16 without a mark", |text| utf16(text, u16::to_le_bytes)),
    ("NUL at the end", |text| format!("{text}\0").into()),
    ("NUL in the middle", |text| in_middle(text, b"\0")),
    ("0xff in the middle", |text| in_middle(text, b"\xff")),
    ("0x80 in the middle", |text| in_middle(text, b"\x80")),
    ("ISO 8859-1 in the middle", |text| in_middle(text, b"\xe9")),
    ("a letter with an accent in the middle", |text| in_middle(text, "\u{e9}".as_bytes())),
    ("an escape sequence in the middle", |text| in_middle(text, b"\x1b[31m")),
    ("an asterisk in the middle", |text| in_middle(text, b"*")),
    ("a line end in the middle", |text| in_middle(text, b"\n")),
    ("a quarter", |text| text.as_bytes()[..text.len() / 4].into()),
    ("half", |text| text.as_bytes()[..text.len() / 2].into()),
    ("three quarters", |text| text.as_bytes()[..text.len() / 4 * 3].into()),
    ("the second half", |text| text.as_bytes()[text.len() / 2..].into()),
    ("without the first line", |text| text.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>().into()),
    ("without the last line", |text| without_last_line(text).into()),
    ("lines in reverse", |text| text.lines().rev().map(|line| format!("{line}\n")).collect::<String>().into()),
    ("bytes in reverse", |text| text.bytes().rev().collect()),
    ("upper case", |text| text.to_uppercase().into()),
    ("lower case", |text| text.to_lowercase().into()),
    ("base64", |text| BASE64_STANDARD.encode(text).into()),
    ("hexadecimal", |text| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>().into()),
    ("percent-encoded", |text| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>().into()),
    ("twice", |text| format!("{text}{text}").into()),
    ("the beginning of DER", |text| [&[0x30, 0x82, 1, 0][..], text.as_bytes()].concat()),
    ("longer than any limit", |text| text.repeat((3 << 20) / text.len().max(1)).into()),
    ("empty", |_text| Vec::new()),
];

fn indented(text: &str, by: &str) -> String {
    text.lines().map(|line| format!("{by}{line}\n")).collect()
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

fn in_middle(text: &str, bytes: &[u8]) -> Vec<u8> {
    let (before, after) = text.as_bytes().split_at(text.len() / 2);
    [before, bytes, after].concat()
}

fn without_last_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[..lines.len().saturating_sub(1)].iter().map(|line| format!("{line}\n")).collect()
}
