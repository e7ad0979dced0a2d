//! The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).
//!
//! The code is canonical: codes of one length are consecutive numbers in the order of their symbols, and the first code
//! of a length follows from the shorter ones. So the lengths of appendix B are all that is needed.

/// The bytes are no Huffman code (RFC 7541 section 5.2), for example because their padding is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidHuffman;

/// The length of the code of each byte, in bits. The code of the end of the string is thirty ones.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26,
];
/// The longest code in bits.
const LONGEST: usize = 30;

/// The codes of each length.
struct Codes {
    /// The first code of each length.
    first: [u32; LONGEST + 1],
    /// The number of codes of each length.
    number: [u32; LONGEST + 1],
    /// The index in `symbols` of the first code of each length.
    index: [usize; LONGEST + 1],
    /// The symbols in the order of their codes.
    symbols: [u8; 256],
}

const CODES: Codes = codes();
/// The symbol and the length of the code with which a byte begins; length 0 if its code is longer than 8 bits.
const SHORT: [(u8, u8); 256] = short();

const fn codes() -> Codes {
    let mut codes =
        Codes { first: [0; LONGEST + 1], number: [0; LONGEST + 1], index: [0; LONGEST + 1], symbols: [0; 256] };
    let (mut length, mut next, mut code) = (1, 0, 0);
    while length <= LONGEST {
        code <<= 1;
        codes.first[length] = code;
        codes.index[length] = next;
        let mut symbol = 0_u8;
        loop {
            if LENGTHS[symbol as usize] as usize == length {
                codes.symbols[next] = symbol;
                next += 1;
                code += 1;
                codes.number[length] += 1;
            }
            if symbol == u8::MAX {
                break;
            }
            symbol += 1;
        }
        length += 1;
    }
    codes
}

const fn short() -> [(u8, u8); 256] {
    let mut table = [(0, 0); 256];
    let mut byte = 0_u8;
    loop {
        let mut length = 1_u8;
        while length <= 8 {
            let code = (byte >> (8 - length)) as u32;
            let (first, number) = (CODES.first[length as usize], CODES.number[length as usize]);
            if code >= first && code - first < number {
                table[byte as usize] = (CODES.symbols[CODES.index[length as usize] + (code - first) as usize], length);
            }
            length += 1;
        }
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

/// Decodes a string and appends it to `out`, which grows by at most 1.6 times the length of `bytes`.
///
/// # Errors
/// If `bytes` is not a string in this code. What was decoded until then is in `out`.
pub(super) fn decode(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidHuffman> {
    let mut rest = bytes.iter();
    // The lower `count` bits are those that were read and not decoded.
    let (mut bits, mut count) = (0_u64, 0_u32);
    loop {
        while count <= 56
            && let Some(byte) = rest.next()
        {
            bits = bits << 8 | u64::from(*byte);
            count += 8;
        }
        let ones = (1 << count.min(8)) - 1;
        if count < 8 && bits & ones == ones {
            return Ok(());
        }
        // The next 32 bits; the end of the string consists of ones.
        let padded = u128::from(bits) << 32 | 0xffff_ffff;
        let [.., a, b, c, d] = (padded >> count).to_be_bytes();
        let (symbol, length) = match SHORT[usize::from(a)] {
            (_, 0) => long(u32::from_be_bytes([a, b, c, d])).ok_or(InvalidHuffman)?,
            short => short,
        };
        count = count.checked_sub(u32::from(length)).ok_or(InvalidHuffman)?;
        bits &= (1 << count) - 1;
        out.push(symbol);
    }
}

/// Returns the symbol whose code, longer than 8 bits, is at the beginning of `bits`, and the length of the code.
fn long(bits: u32) -> Option<(u8, u8)> {
    (9..=30_u8).find_map(|length| {
        let at = usize::from(length);
        let place = (bits >> (32 - u32::from(length))).checked_sub(CODES.first[at])?;
        if place >= CODES.number[at] {
            return None;
        }
        let symbol = CODES.symbols.get(CODES.index[at] + usize::try_from(place).ok()?)?;
        Some((*symbol, length))
    })
}

#[cfg(test)]
pub(super) fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut bits = String::new();
    for byte in bytes {
        let length = usize::from(LENGTHS[usize::from(*byte)]);
        let at = CODES.symbols.iter().position(|symbol| symbol == byte).unwrap();
        let code = CODES.first[length] + u32::try_from(at - CODES.index[length]).unwrap();
        bits.push_str(&format!("{code:0length$b}"));
    }
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    bits.as_bytes().chunks(8).map(|byte| u8::from_str_radix(str::from_utf8(byte).unwrap(), 2).unwrap()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Result<Vec<u8>, InvalidHuffman> {
        let mut out = Vec::new();
        decode(bytes, &mut out).map(|()| out)
    }

    /// RFC 7541 appendix C.4 and C.6.
    #[test]
    fn the_examples_of_the_specification_are_decoded() {
        for (bytes, text) in [
            (&b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"[..], "www.example.com"),
            (b"\xa8\xeb\x10\x64\x9c\xbf", "no-cache"),
            (b"\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f", "custom-key"),
            (b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf", "custom-value"),
            (b"\x64\x02", "302"),
            (b"\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3", "https://www.example.com"),
            (b"", ""),
        ] {
            assert_eq!(decoded(bytes).as_deref(), Ok(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn wrong_padding_and_the_end_of_the_string_are_rejected() {
        for bytes in [
            // A whole byte of padding, with and without a symbol before it.
            &b"\xff"[..],
            b"\x1f\xff",
            // Padding with zeros: "a" is 00011.
            b"\x18",
            // The code for the end of the string.
            b"\xff\xff\xff\xff",
            b"\xff\xff\xff\xfc",
            // A code that is not complete.
            b"\xff\xff\xff",
        ] {
            assert_eq!(decoded(bytes), Err(InvalidHuffman), "{bytes:x?}");
        }
    }

    #[test]
    fn every_byte_has_a_code() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(decoded(&encode(&all)), Ok(all.clone()));
        for byte in all {
            assert_eq!(decoded(&encode(&[byte])), Ok(vec![byte]));
            assert_eq!(decoded(&encode(&[byte; 9])), Ok(vec![byte; 9]));
        }
    }
}
