//! morgan's line formats, compiled once, byte for byte what morgan 1.12.1 writes.
//!
//! ```
//! use mainstay_http::access_log::{AccessLogConfig, LogFormat};
//!
//! let config = AccessLogConfig { format: "tiny".parse()?, ..AccessLogConfig::default() };
//! let custom: LogFormat = ":remote-addr :method :url :status :total-time[0]".parse()?;
//! assert_eq!(":method :urll".parse::<LogFormat>().unwrap_err().to_string(), "`:urll` is no token of a log format");
//! # let _ = (config, custom);
//! # Ok::<(), mainstay_http::access_log::InvalidFormat>(())
//! ```
//!
//! What morgan finds out when the first request comes (an unknown token, a header without a name) is an error here before
//! anything starts. Where it differs on purpose: headers that hold credentials are written as `[redacted]`, secrets in the
//! query too, a token's text ends after 8 KiB, and a format may not break the line itself.

mod date;
mod remote_user;

use std::fmt::{self, Display, Formatter, Write as _};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use http::header::{AUTHORIZATION, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use serde::{Deserialize, Serialize};

use super::redact::{REDACTED_HEADER, is_secret};
use crate::headers::REFERRER;
use date::Date;

/// The longest text of one token, in bytes.
const MAX_TOKEN: usize = 8 * 1_024;

/// How the log's events look: fields for machines, or one of morgan's lines for people.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum LogFormat {
    /// Fields, `structured` in settings.
    #[default]
    Structured,
    /// A text line in morgan's words: `combined`, `common`, `default`, `short`, `tiny`, `dev`, or a string of its tokens.
    Line(LineFormat),
}

/// One of morgan's formats, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFormat {
    written: String,
    parts: Vec<Part>,
}

/// Why a text is no format.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidFormat {
    /// There is no such token.
    UnknownToken(String),
    /// The token takes another argument, or needs one.
    InvalidArgument {
        /// The token's name.
        token: String,
        /// What stands in its brackets, if they are there.
        argument: Option<String>,
        /// What would be right.
        expected: &'static str,
    },
    /// The format itself has a character that ends a line or steers a terminal.
    ControlCharacter(char),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Token(Token),
    /// What `dev` colours the status with.
    Colour,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Url,
    Method,
    ResponseTime(usize),
    TotalTime(usize),
    Date(Date),
    Status,
    Referrer,
    RemoteAddress,
    RemoteUser,
    Pid,
    HttpVersion,
    UserAgent,
    Request(HeaderName),
    Response(HeaderName),
}

/// What a line is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) version: Version,
    pub(super) remote_address: Option<IpAddr>,
    pub(super) request: &'a HeaderMap,
    /// None: there was no answer.
    pub(super) status: Option<StatusCode>,
    pub(super) response: &'a HeaderMap,
    pub(super) first_byte: Option<Duration>,
    pub(super) total: Duration,
    pub(super) now: SystemTime,
}

// === impl LogFormat ===

impl FromStr for LogFormat {
    type Err = InvalidFormat;

    fn from_str(text: &str) -> Result<Self, InvalidFormat> {
        if text == "structured" { Ok(Self::Structured) } else { LineFormat::compile(text).map(Self::Line) }
    }
}

impl TryFrom<String> for LogFormat {
    type Error = InvalidFormat;

    fn try_from(text: String) -> Result<Self, InvalidFormat> {
        text.parse()
    }
}

impl From<LogFormat> for String {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Structured => "structured".to_owned(),
            LogFormat::Line(line) => line.written,
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for LogFormat {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LogFormat".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

// === impl LineFormat ===

impl LineFormat {
    fn compile(written: &str) -> Result<Self, InvalidFormat> {
        const COMMON: &str = r#":remote-addr - :remote-user [:date[clf]] ":method :url HTTP/:http-version" :status :res[content-length]"#;
        const COMBINED: &str = r#":remote-addr - :remote-user [:date[clf]] ":method :url HTTP/:http-version" :status :res[content-length] ":referrer" ":user-agent""#;
        const DEFAULT: &str = r#":remote-addr - :remote-user [:date] ":method :url HTTP/:http-version" :status :res[content-length] ":referrer" ":user-agent""#;
        const SHORT: &str = ":remote-addr :remote-user :method :url HTTP/:http-version :status :res[content-length] - :response-time ms";
        const TINY: &str = ":method :url :status :res[content-length] - :response-time ms";
        let parts = match written {
            "common" => parts(COMMON)?,
            "combined" => parts(COMBINED)?,
            "default" => parts(DEFAULT)?,
            "short" => parts(SHORT)?,
            "tiny" => parts(TINY)?,
            "dev" => {
                let mut dev = parts("\x1b[0m:method :url \x1b[")?;
                dev.push(Part::Colour);
                dev.extend(parts("m:status\x1b[0m :response-time ms - :res[content-length]\x1b[0m")?);
                dev
            }
            custom => match custom.chars().find(|at| breaks_lines(*at)) {
                Some(control) => return Err(InvalidFormat::ControlCharacter(control)),
                None => parts(custom)?,
            },
        };
        Ok(Self { written: written.to_owned(), parts })
    }

    /// The request's headers that the line shows.
    pub(super) fn request_headers(&self) -> impl Iterator<Item = HeaderName> {
        self.tokens().flat_map(|token| match token {
            Token::Referrer => vec![REFERER, REFERRER],
            Token::RemoteUser => vec![AUTHORIZATION],
            Token::UserAgent => vec![USER_AGENT],
            Token::Request(name) => vec![name.clone()],
            _ => Vec::new(),
        })
    }

    /// The answer's headers that the line shows.
    pub(super) fn response_headers(&self) -> impl Iterator<Item = HeaderName> {
        self.tokens().filter_map(|token| match token {
            Token::Response(name) => Some(name.clone()),
            _ => None,
        })
    }

    /// Whether the line shows the time of day: only then is that clock read.
    pub(super) fn shows_date(&self) -> bool {
        self.tokens().any(|token| matches!(token, Token::Date(_)))
    }

    fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.parts.iter().filter_map(|part| match part {
            Part::Token(token) => Some(token),
            Part::Literal(_) | Part::Colour => None,
        })
    }

    /// The line for this exchange, without its end.
    pub(super) fn render(&self, exchange: &Exchange<'_>) -> String {
        let mut line = String::with_capacity(192);
        for part in &self.parts {
            match part {
                Part::Literal(text) => line.push_str(text),
                Part::Colour => line.push_str(colour(exchange.status)),
                Part::Token(token) => {
                    let before = line.len();
                    token.write(exchange, &mut line);
                    if line.len() == before {
                        line.push('-');
                    }
                }
            }
        }
        line
    }
}

fn colour(status: Option<StatusCode>) -> &'static str {
    match status.map(|status| status.as_u16()) {
        Some(500..) => "31",
        Some(400..) => "33",
        Some(300..) => "36",
        Some(200..) => "32",
        _ => "0",
    }
}

/// Escape is let through: formats colour with it.
fn breaks_lines(at: char) -> bool {
    (at.is_control() && at != '\t' && at != '\x1b') || matches!(at, '\u{2028}' | '\u{2029}')
}

/// morgan's own grammar: `:([-\w]{2,})(?:\[([^\]]+)\])?` is a token, everything else stands for itself.
fn parts(format: &str) -> Result<Vec<Part>, InvalidFormat> {
    let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), format);
    while let Some((before, after)) = rest.split_once(':') {
        literal.push_str(before);
        let length = after
            .find(|at: char| !(at.is_ascii_alphanumeric() || at == '_' || at == '-'))
            .unwrap_or(after.len());
        if length < 2 {
            literal.push(':');
            rest = after;
            continue;
        }
        let (name, after) = after.split_at(length);
        let argument = after
            .strip_prefix('[')
            .and_then(|inside| inside.split_once(']'))
            .filter(|(argument, _)| !argument.is_empty());
        rest = argument.map_or(after, |(_, after)| after);
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(Part::Token(Token::new(name, argument.map(|(argument, _)| argument))?));
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

// === impl Token ===

impl Token {
    fn new(name: &str, argument: Option<&str>) -> Result<Self, InvalidFormat> {
        let invalid = |expected| InvalidFormat::InvalidArgument {
            token: name.to_owned(),
            argument: argument.map(str::to_owned),
            expected,
        };
        let digits = || match argument.map(str::parse) {
            None => Ok(3),
            Some(Ok(digits @ 0..=100)) => Ok(digits),
            Some(_) => Err(invalid("a number of digits from 0 to 100")),
        };
        let header =
            || argument.and_then(|name| name.parse().ok()).ok_or_else(|| invalid("the name of a header"));
        Ok(match name {
            "url" => Self::Url,
            "method" => Self::Method,
            "response-time" => Self::ResponseTime(digits()?),
            "total-time" => Self::TotalTime(digits()?),
            "date" => Self::Date(match argument {
                None | Some("web") => Date::Web,
                Some("clf") => Date::Clf,
                Some("iso") => Date::Iso,
                Some(_) => return Err(invalid("clf, iso or web")),
            }),
            "status" => Self::Status,
            "referrer" => Self::Referrer,
            "remote-addr" => Self::RemoteAddress,
            "remote-user" => Self::RemoteUser,
            "pid" => Self::Pid,
            "http-version" => Self::HttpVersion,
            "user-agent" => Self::UserAgent,
            "req" => Self::Request(header()?),
            "res" => Self::Response(header()?),
            unknown => return Err(InvalidFormat::UnknownToken(unknown.to_owned())),
        })
    }

    fn write(&self, exchange: &Exchange<'_>, line: &mut String) {
        match self {
            Self::Url => escape(exchange.url.chars(), line),
            Self::Method => escape(exchange.method.chars(), line),
            // Both times are known only once there was an answer.
            Self::ResponseTime(digits) => {
                if let Some(taken) = exchange.first_byte {
                    fixed(taken, *digits, line);
                }
            }
            Self::TotalTime(digits) => {
                if exchange.first_byte.is_some() {
                    fixed(exchange.total, *digits, line);
                }
            }
            Self::Date(date) => date.write(exchange.now, line),
            Self::Status => {
                if let Some(status) = exchange.status {
                    line.push_str(status.as_str());
                }
            }
            Self::Referrer => {
                let before = line.len();
                write_header(exchange.request, &REFERER, line);
                if line.len() == before {
                    write_header(exchange.request, &REFERRER, line);
                }
            }
            Self::RemoteAddress => {
                if let Some(address) = exchange.remote_address {
                    print(line, format_args!("{address}"));
                }
            }
            Self::RemoteUser => {
                let user = exchange
                    .request
                    .get(AUTHORIZATION)
                    .and_then(|value| remote_user::parse(value.as_bytes()));
                if let Some(user) = user {
                    escape(user.chars(), line);
                }
            }
            Self::Pid => print(line, format_args!("{}", std::process::id())),
            Self::HttpVersion => line.push_str(match exchange.version {
                Version::HTTP_09 => "0.9",
                Version::HTTP_10 => "1.0",
                Version::HTTP_2 => "2.0",
                Version::HTTP_3 => "3.0",
                _ => "1.1",
            }),
            Self::UserAgent => write_header(exchange.request, &USER_AGENT, line),
            Self::Request(name) => write_header(exchange.request, name, line),
            Self::Response(name) if exchange.status.is_some() => {
                write_header(exchange.response, name, line);
            }
            Self::Response(_) => {}
        }
    }
}

/// The header as Node hands it to morgan: bytes as Latin-1, and several lines joined, or only the first of them.
fn write_header(headers: &HeaderMap, name: &HeaderName, line: &mut String) {
    /// The headers of which Node keeps the first line only.
    const SINGLE: [&str; 18] = [
        "age",
        "authorization",
        "content-length",
        "content-type",
        "etag",
        "expires",
        "from",
        "host",
        "if-modified-since",
        "if-unmodified-since",
        "last-modified",
        "location",
        "max-forwards",
        "proxy-authorization",
        "referer",
        "retry-after",
        "server",
        "user-agent",
    ];
    let most = if SINGLE.contains(&name.as_str()) { 1 } else { usize::MAX };
    let separator = if name == http::header::COOKIE { "; " } else { ", " };
    let end = line.len() + MAX_TOKEN;
    for (at, value) in headers.get_all(name).iter().take(most).enumerate() {
        if line.len() >= end {
            return;
        }
        if at > 0 {
            line.push_str(separator);
        }
        if is_secret(name, value) {
            line.push_str(REDACTED_HEADER);
        } else {
            escape(latin1(value), line);
        }
    }
}

fn latin1(value: &HeaderValue) -> impl Iterator<Item = char> {
    value.as_bytes().iter().copied().map(char::from)
}

/// morgan's `escapeLogField`.
fn escape(text: impl Iterator<Item = char>, line: &mut String) {
    let end = line.len() + MAX_TOKEN;
    for at in text {
        if line.len() >= end {
            return;
        }
        match at {
            '\\' => line.push_str(r"\\"),
            '"' => line.push_str("\\\""),
            '\u{8}' => line.push_str(r"\b"),
            '\u{c}' => line.push_str(r"\f"),
            '\n' => line.push_str(r"\n"),
            '\r' => line.push_str(r"\r"),
            '\t' => line.push_str(r"\t"),
            at if at.is_control() || matches!(at, '\u{2028}' | '\u{2029}') => {
                print(line, format_args!("\\u{:04x}", u32::from(at)));
            }
            at => line.push(at),
        }
    }
}

/// Milliseconds as JavaScript's `toFixed` prints them: the number's exact value, a tie rounded up where Rust goes to even.
fn fixed(length: Duration, digits: usize, line: &mut String) {
    #[expect(clippy::cast_precision_loss, reason = "morgan calculates with doubles too")]
    let millis = length.as_secs() as f64 * 1e3 + f64::from(length.subsec_nanos()) * 1e-6;
    // No double comes nearer to a tie than these thirty digits can tell.
    let exact = format!("{millis:.precision$}", precision = digits + 30);
    let (kept, beyond) = exact.split_at(exact.len() - 30);
    let mut kept = kept.trim_end_matches('.').as_bytes().to_vec();
    if beyond.as_bytes()[0] >= b'5' {
        let mut carry = true;
        for digit in kept.iter_mut().rev().filter(|digit| digit.is_ascii_digit()) {
            *digit = if *digit == b'9' { b'0' } else { *digit + 1 };
            carry = *digit == b'0';
            if !carry {
                break;
            }
        }
        if carry {
            kept.insert(0, b'1');
        }
    }
    line.extend(kept.into_iter().map(char::from));
}

fn print(line: &mut String, text: fmt::Arguments<'_>) {
    line.write_fmt(text).expect("writing to a string does not fail");
}

// === impl InvalidFormat ===

impl Display for InvalidFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownToken(name) => write!(f, "`:{name}` is no token of a log format"),
            Self::InvalidArgument { token, argument: Some(argument), expected } => {
                write!(f, "`:{token}[{argument}]` in a log format: expected {expected}")
            }
            Self::InvalidArgument { token, argument: None, expected } => {
                write!(f, "`:{token}` in a log format needs an argument: {expected}")
            }
            Self::ControlCharacter(at) => {
                write!(f, "a log format may not hold {at:?}: one request is one line")
            }
        }
    }
}

impl std::error::Error for InvalidFormat {}

#[cfg(test)]
mod tests;
