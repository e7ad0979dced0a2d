//! The GSM alphabet of short messages (3GPP TS 23.038). A message has room for 160 letters of it, or for 70 if it
//! contains any other letter.

/// Letters that count once.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// Letters that count twice.
const EXTENDED: &str = "^{}\\[~]|€";

/// Returns how much a letter counts; `None` if it is not in the alphabet.
pub(super) fn length(letter: char) -> Option<usize> {
    if BASIC.contains(letter) {
        Some(1)
    } else if EXTENDED.contains(letter) {
        Some(2)
    } else {
        None
    }
}

/// Spells a text in letters of the alphabet.
pub(super) fn spell(text: &str) -> String {
    text.chars().flat_map(|letter| spelt(letter).chars().collect::<Vec<_>>()).collect()
}

fn spelt(letter: char) -> String {
    if length(letter).is_some() {
        return letter.to_string();
    }
    let like = match letter {
        '\u{2018}' | '\u{2019}' | '`' | '\u{b4}' => "'",
        '\u{201c}' | '\u{201d}' | '\u{ab}' | '\u{bb}' => "\"",
        '\u{2010}'..='\u{2015}' | '\u{2212}' => "-",
        '\u{2026}' => "...",
        '\u{d7}' => "x",
        '\u{a0}' | '\t' => " ",
        'á' | 'â' | 'ã' | 'ā' => "a",
        'ç' => "c",
        'ê' | 'ë' | 'ē' => "e",
        'í' | 'î' | 'ï' => "i",
        'ó' | 'ô' | 'õ' => "o",
        'ú' | 'û' => "u",
        'Á' | 'À' | 'Â' | 'Ã' => "A",
        'È' | 'Ê' | 'Ë' => "E",
        'Í' | 'Î' | 'Ï' => "I",
        'Ó' | 'Ô' | 'Õ' => "O",
        'Ú' | 'Û' => "U",
        _ => "?",
    };
    like.to_owned()
}
