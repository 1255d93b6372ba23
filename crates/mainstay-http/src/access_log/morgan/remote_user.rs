//! The user's name of HTTP's Basic credentials, read as leniently as Node's `basic-auth` does it; never the password.

/// The name, if these are credentials of that kind.
pub(super) fn parse(value: &[u8]) -> Option<String> {
    const SCHEME: usize = "basic".len();
    let (scheme, token) = trim(value).split_at_checked(SCHEME)?;
    if !scheme.eq_ignore_ascii_case(b"basic") || token.first() != Some(&b' ') {
        return None;
    }
    let token = trim(token);
    let text = &token[..token.len() - token.iter().rev().take_while(|byte| **byte == b'=').count()];
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._~+/-".contains(byte);
    if text.is_empty() || !text.iter().all(allowed) {
        return None;
    }
    let decoded = decode(text);
    let decoded = String::from_utf8_lossy(&decoded);
    let (name, password) = decoded.split_once(':')?;
    // `.` in the pattern that this stands for matches no line ends.
    (!password.contains(['\n', '\r', '\u{2028}', '\u{2029}'])).then(|| name.to_owned())
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

/// Base64 in either alphabet, as Node reads it: what is in neither is skipped, an odd end ignored.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut held) = (0_u32, 0);
    for byte in text {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        bits = (bits << 6 | u32::from(six)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            decoded.push((bits >> held & 0xff) as u8);
        }
    }
    decoded
}
