//! The configuration loader: no panic, and no secret in anything that is shown.
//!
//! The secret is a fixed text that stands only where a secret belongs: behind a key for one. Everything else is free.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{Debug, Write};
use std::fs;
use std::net::SocketAddr;

use arbitrary::Arbitrary;
use mainstay_config::{ConfigError, Loader, Secret};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

const SECRET: &str = "Hunter2Correct-Horse";

/// Both files, the variables and the arguments.
#[derive(Arbitrary, Debug)]
pub struct Sources {
    default: File,
    development: File,
    variables: Vec<Variable>,
    arguments: Vec<Argument>,
}

/// The variables alone.
#[derive(Arbitrary, Debug)]
pub struct Variables(Vec<Variable>);

/// A `.env` file alone.
#[derive(Arbitrary, Debug)]
pub struct EnvFile {
    lines: Vec<EnvLine>,
    /// Not text, or no assignment.
    ending: Vec<u8>,
}

/// Panics when these sources make the loader panic or tell the secret.
pub fn check_loader(sources: &Sources) {
    let files = [sources.default.bytes(), sources.development.bytes(), Vec::new()];
    check(&files, &sources.variables, &sources.arguments);
}

/// Panics when these variables make the loader panic or tell the secret.
pub fn check_variables(variables: &Variables) {
    check(&[SOUND.into(), Vec::new(), Vec::new()], &variables.0, &[]);
}

/// Panics when this `.env` file makes the loader panic or tell the secret.
pub fn check_env_file(file: &EnvFile) {
    check(&[SOUND.into(), Vec::new(), file.bytes()], &[], &[]);
}

const SOUND: &str = "mode = 'fast'\n[server]\nlisten = '127.0.0.1:80'\n[db]\npassword = 'first-password'\n";

/// The files are `default.toml`, `development.toml` and `.env`.
fn check(files: &[Vec<u8>; 3], variables: &[Variable], arguments: &[Argument]) {
    thread_local!(static FOLDER: OnceCell<TempDir> = const { OnceCell::new() });
    let folder = FOLDER
        .with(|folder| folder.get_or_init(|| TempDir::new().expect("a temporary folder")).path().to_owned());
    for (name, bytes) in ["default.toml", "development.toml", ".env"].into_iter().zip(files) {
        fs::write(folder.join(name), bytes).expect("the file is ours");
    }

    // libFuzzer learns from comparisons what is searched for: inputs with that text in free places prove nothing.
    let mut given = files.each_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).join("\n");
    for (name, value) in variables.iter().map(Variable::pair) {
        given = format!("{given}\n{}\n{}", name.to_string_lossy(), value.to_string_lossy());
    }
    for argument in arguments {
        given = format!("{given}\n{}", argument.text());
    }
    if tells(&given.replace(SECRET, "")) {
        return;
    }

    let mut loader = Loader::new("fuzz")
        .profiles(&["development"])
        .directory(Some(folder))
        .environment(variables.iter().map(Variable::pair));
    for argument in arguments {
        loader = loader.set(argument.text());
    }
    hides_the_secret(&loader);
    match loader.load::<Settings>() {
        Err(error) => hides_the_secret_in_the_report(&error),
        Ok(loaded) => {
            hides_the_secret(&loaded.settings.db);
            hides_the_secret(&loaded.sources());
            for setting in loaded.effective() {
                let is_secret = setting.key.starts_with("db.pass") || setting.key.starts_with("db.keys");
                assert!(!(is_secret && tells(&setting.value)), "{} is told", setting.key);
            }
        }
    }
}

fn hides_the_secret_in_the_report(error: &ConfigError) {
    let text = error.to_string();
    assert!(!tells(&text), "the report tells the secret:\n{text}");
    assert!(!text.contains('\u{1b}'), "the report commands the terminal:\n{text:?}");
    assert!(!text.contains(": 0 problems"), "a refusal without a reason");
    hides_the_secret(error);
}

fn hides_the_secret(shown: &dyn Debug) {
    for text in [format!("{shown:?}"), format!("{shown:#?}")] {
        assert!(!tells(&text), "the secret is told:\n{text}");
    }
}

fn tells(text: &str) -> bool {
    text.to_lowercase().contains("hunter2")
}

// === What is loaded ===

#[derive(Debug, Deserialize, Serialize, garde::Validate)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[garde(dive)]
    server: Server,
    #[garde(dive)]
    db: Database,
    #[garde(skip)]
    mode: Mode,
    #[garde(skip)]
    #[serde(default)]
    store: Option<Store>,
    #[garde(skip)]
    #[serde(default)]
    limit: Option<Limit>,
    #[garde(length(max = 4), inner(length(min = 2)))]
    #[serde(default)]
    hosts: Vec<String>,
    #[garde(dive)]
    #[serde(default)]
    routes: Vec<Route>,
    #[garde(skip)]
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, Serialize, garde::Validate)]
#[serde(deny_unknown_fields)]
struct Server {
    #[garde(skip)]
    listen: SocketAddr,
    #[garde(length(min = 1))]
    #[serde(default, rename = "displayName", alias = "name")]
    name: Option<String>,
    #[garde(range(min = 1, max = 1000))]
    #[serde(default)]
    workers: Option<u16>,
    #[garde(range(max = 1.0))]
    #[serde(default)]
    share: f64,
    #[garde(skip)]
    #[serde(default)]
    debug: bool,
    #[garde(skip)]
    #[serde(default)]
    pair: Option<(i8, char)>,
}

#[derive(Debug, Deserialize, Serialize, garde::Validate)]
struct Database {
    #[garde(skip)]
    password: Secret<String>,
    #[garde(skip)]
    #[serde(default)]
    passcode: Option<Secret<u64>>,
    #[garde(skip)]
    #[serde(default)]
    keys: Vec<Secret<String>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Fast,
    Slow { steps: u8 },
    Named(String),
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Store {
    Memory,
    Disk { path: String, size: u32 },
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Limit {
    Count(u32),
    Words(String),
}

#[derive(Debug, Deserialize, Serialize, garde::Validate)]
struct Route {
    #[garde(prefix("/"))]
    path: String,
    #[garde(skip)]
    #[serde(flatten)]
    rest: BTreeMap<String, u32>,
}

// === What is fed ===

#[derive(Arbitrary, Debug)]
struct File {
    lines: Vec<Line>,
    /// So that not everything has to be invented.
    begins_sound: bool,
    /// Not text, or no TOML.
    ending: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
enum Line {
    Section(Key),
    Item(Key),
    Value(Key, Free),
    Secret(SecretKey, Quotes),
    Raw(String),
}

#[derive(Arbitrary, Debug)]
enum EnvLine {
    Value { exported: bool, key: Key, quotes: Quotes, value: Free },
    Secret { exported: bool, key: SecretKey, quotes: Quotes },
    Comment(String),
    Raw(String),
}

#[derive(Arbitrary, Debug)]
struct Variable {
    prefix: Prefix,
    key: Key,
    extra: Vec<u8>,
    value: Given,
}

#[derive(Arbitrary, Debug)]
enum Prefix {
    Double,
    Single,
    None,
}

#[derive(Arbitrary, Debug)]
enum Argument {
    Value(Key, String),
    Secret(SecretKey),
    Raw(String),
}

#[derive(Arbitrary, Debug)]
enum Given {
    Secret(SecretKey),
    Text(Free),
    Bytes(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Free {
    Number(i64),
    Float(f64),
    Flag(bool),
    Date,
    Text(String),
    List(Vec<u16>),
    Word(Word),
}

/// Words that mean something to the settings.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Word {
    Address,
    Fast,
    Named,
    Disk,
    Empty,
    True,
    Path,
    Wide,
}

#[derive(Arbitrary, Debug)]
enum Key {
    Known(u8),
    Free(String),
    Nested(u8, u8),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum SecretKey {
    Password,
    Passcode,
    Keys,
    Misspelt,
}

#[derive(Arbitrary, Debug)]
enum Quotes {
    None,
    Single,
    Double,
    Triple,
    List,
    Table,
    Open,
}

const KEYS: [&str; 24] = [
    "server",
    "db",
    "mode",
    "store",
    "limit",
    "hosts",
    "routes",
    "labels",
    "listen",
    "displayName",
    "name",
    "workers",
    "share",
    "debug",
    "pair",
    "keys",
    "fast",
    "slow",
    "named",
    "steps",
    "kind",
    "path",
    "size",
    "rest",
];

// === impl File ===

impl File {
    fn bytes(&self) -> Vec<u8> {
        let mut text = String::new();
        if self.begins_sound {
            text.push_str(SOUND);
        }
        for line in &self.lines {
            match line {
                Line::Section(key) => writeln!(text, "[{}]", key.toml()),
                Line::Item(key) => writeln!(text, "[[{}]]", key.toml()),
                Line::Value(key, value) => writeln!(text, "{} = {}", key.toml(), value.toml()),
                Line::Secret(key, quotes) => writeln!(text, "{} = {}", key.name(), quotes.around(SECRET)),
                Line::Raw(raw) => writeln!(text, "{raw}"),
            }
            .expect("a text can grow");
        }
        [text.as_bytes(), &self.ending].concat()
    }
}

// === impl EnvFile ===

impl EnvFile {
    fn bytes(&self) -> Vec<u8> {
        let export = |exported: bool| if exported { "export " } else { "" };
        let name = |key: &str| format!("FUZZ__{}", key.replace('.', "__").to_uppercase());
        let mut text = String::new();
        for line in &self.lines {
            match line {
                EnvLine::Value { exported, key, quotes, value } => {
                    writeln!(
                        text,
                        "{}{}={}",
                        export(*exported),
                        name(&key.toml()),
                        quotes.around(&value.text())
                    )
                }
                EnvLine::Secret { exported, key, quotes } => {
                    writeln!(text, "{}{}={}", export(*exported), name(key.name()), quotes.around(SECRET))
                }
                EnvLine::Comment(comment) => writeln!(text, "# {comment}"),
                EnvLine::Raw(raw) => writeln!(text, "{raw}"),
            }
            .expect("a text can grow");
        }
        [text.as_bytes(), &self.ending].concat()
    }
}

impl Key {
    fn toml(&self) -> String {
        let known = |index: &u8| KEYS[usize::from(*index) % KEYS.len()];
        match self {
            Self::Known(index) => known(index).to_owned(),
            Self::Nested(outer, inner) => format!("{}.{}", known(outer), known(inner)),
            Self::Free(key) => key.clone(),
        }
    }
}

impl SecretKey {
    fn name(self) -> &'static str {
        match self {
            Self::Password => "db.password",
            Self::Passcode => "db.passcode",
            Self::Keys => "db.keys",
            Self::Misspelt => "db.pasword",
        }
    }
}

impl Free {
    fn toml(&self) -> String {
        match self {
            Self::Text(text) => format!("\"{}\"", text.escape_default()),
            Self::Word(word) => format!("'{}'", word.text()),
            Self::List(items) => format!("{items:?}"),
            other => other.text(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Date => "2026-01-02T03:04:05Z".to_owned(),
            Self::Text(text) => text.clone(),
            Self::List(items) => items.iter().map(u16::to_string).collect::<Vec<_>>().join(","),
            Self::Word(word) => word.text().to_owned(),
        }
    }
}

impl Word {
    fn text(self) -> &'static str {
        match self {
            Self::Address => "0.0.0.0:8080",
            Self::Fast => "fast",
            Self::Named => "named",
            Self::Disk => "disk",
            Self::Empty => "",
            Self::True => "true",
            Self::Path => "/orders",
            Self::Wide => "340282366920938463463374607431768211455",
        }
    }
}

impl Quotes {
    fn around(&self, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Single => format!("'{text}'"),
            Self::Double => format!("\"{text}\""),
            Self::Triple => format!("'''{text}'''"),
            Self::List => format!("['{text}', '{text}']"),
            Self::Table => format!("{{ x = '{text}' }}"),
            Self::Open => format!("'{text}"),
        }
    }
}

impl Variable {
    fn pair(&self) -> (OsString, OsString) {
        let key = match &self.value {
            Given::Secret(key) => key.name().to_owned(),
            _ => self.key.toml(),
        };
        let prefix = match self.prefix {
            Prefix::Double => "FUZZ__",
            Prefix::Single => "FUZZ_",
            Prefix::None => "",
        };
        let name = format!("{prefix}{}", key.replace('.', "__").to_uppercase());
        let value = match &self.value {
            Given::Secret(_) => SECRET.into(),
            Given::Text(free) => free.text().into(),
            Given::Bytes(bytes) => os_string(bytes),
        };
        let mut whole = OsString::from(name);
        if !matches!(self.value, Given::Secret(_)) {
            whole.push(os_string(&self.extra));
        }
        (whole, value)
    }
}

impl Argument {
    fn text(&self) -> String {
        match self {
            Self::Value(key, value) => format!("{}={value}", key.toml()),
            Self::Secret(key) => format!("{}={SECRET}", key.name()),
            Self::Raw(raw) => raw.clone(),
        }
    }
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}
