//! Settings from files, variables and nothing else, checked before anything starts.
//!
//! ```text
//! cargo run -p hello --bin config
//! HELLO__SERVER__LISTEN=127.0.0.1:9000 HELLO__GREETING=moin cargo run -p hello --bin config
//! HELLO__COPIES=0 cargo run -p hello --bin config; echo $?
//! ```

use std::process::ExitCode;

use garde::Validate;
use mainstay::config::{Loader, Secret};
use mainstay::server::ServerConfig;
use serde::Deserialize;

#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[garde(length(min = 1))]
    greeting: String,
    #[garde(range(min = 1, max = 10))]
    copies: u8,
    #[garde(skip)]
    token: Secret<String>,
    #[garde(dive)]
    server: ServerConfig,
}

const DEFAULT: &str = "greeting = 'hello'\ncopies = 2\ntoken = 'known'\n[server]\nlisten = '127.0.0.1:8080'";

fn main() -> ExitCode {
    mainstay::run(async {
        let loader = Loader::new("hello").embedded(&[("default.toml", DEFAULT), ("development.toml", "")]);
        let loaded = loader.profiles(&["development"]).load::<Settings>()?;
        for key in ["greeting", "copies", "token", "server.listen"] {
            show(&format!("{key:14} from {}", loaded.source_of(key).unwrap_or_default()));
        }
        let settings = loaded.settings;
        show(&format!("{settings:#?}")); // `token: [redacted]`
        show(&format!("a token of {} bytes", settings.token.expose().len()));
        Ok(())
    })
}

#[expect(clippy::print_stdout, reason = "printing is all that this example does")]
fn show(line: &str) {
    println!("{line}");
}
