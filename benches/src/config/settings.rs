//! What is loaded: 40 fields in 8 sections, each with a default, for all loaders alike.

use garde::Validate;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Deserialize, Serialize, Validate)]
#[serde(default)]
pub(super) struct Settings {
    #[garde(dive)]
    server: Endpoint,
    #[garde(dive)]
    admin: Endpoint,
    #[garde(dive)]
    database: Database,
    #[garde(dive)]
    replica: Database,
    #[garde(dive)]
    cache: Pool,
    #[garde(dive)]
    queue: Pool,
    #[garde(dive)]
    log: Output,
    #[garde(dive)]
    trace: Output,
}

#[derive(Debug, Deserialize, Serialize, Validate)]
#[serde(default)]
struct Endpoint {
    #[garde(length(min = 1))]
    host: String,
    #[garde(skip)]
    port: u16,
    #[garde(skip)]
    tls: bool,
    #[garde(range(min = 1))]
    timeout_ms: u64,
    #[garde(skip)]
    body_limit: u64,
}

#[derive(Debug, Deserialize, Serialize, Validate)]
#[serde(default)]
struct Database {
    #[garde(length(min = 1))]
    url: String,
    #[garde(skip)]
    user: String,
    #[garde(skip)]
    password: String,
    #[garde(range(min = 1))]
    pool: u32,
    #[garde(skip)]
    lifetime_s: u64,
}

#[derive(Debug, Deserialize, Serialize, Validate)]
#[serde(default)]
struct Pool {
    #[garde(range(min = 1))]
    size: u32,
    #[garde(skip)]
    idle: u32,
    #[garde(range(max = 1.0))]
    ratio: f64,
    #[garde(skip)]
    prefix: String,
    #[garde(skip)]
    enabled: bool,
}

#[derive(Debug, Deserialize, Serialize, Validate)]
#[serde(default)]
struct Output {
    #[garde(skip)]
    level: Level,
    #[garde(skip)]
    target: String,
    #[garde(range(max = 1.0))]
    sample: f64,
    #[garde(skip)]
    fields: Vec<String>,
    #[garde(skip)]
    json: bool,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Info,
    Warn,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 80, tls: false, timeout_ms: 1_000, body_limit: 1 << 20 }
    }
}

impl Default for Database {
    fn default() -> Self {
        let text = str::to_owned;
        Self { url: text("sqlite:"), user: text("me"), password: text("none"), pool: 8, lifetime_s: 600 }
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self { size: 16, idle: 4, ratio: 0.5, prefix: "app:".to_owned(), enabled: false }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self {
            level: Level::Info,
            target: "stderr".to_owned(),
            sample: 1.0,
            fields: vec!["method".to_owned()],
            json: false,
        }
    }
}
