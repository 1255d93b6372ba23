//! The command line: what to do, under which settings.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use mainstay::config::{Loaded, Loader};
use mainstay::{ExitResult, server};

use crate::database;
use crate::serve::serve;
use crate::settings::{self, Settings};

/// A sample order service that stands on mainstay.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// development, staging or production; else ORDERS_PROFILE, else APP_ENV, else development
    #[arg(long, global = true)]
    profile: Option<String>,
    /// The folder with default.toml and a file a profile; else ORDERS_CONFIG_DIR, else those built in
    #[arg(long, global = true)]
    config_dir: Option<PathBuf>,
    /// One setting, above all files and variables: --set server.listen=127.0.0.1:9000
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take orders (the default)
    Serve,
    /// Look at the settings without starting anything
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at the database's schema, or bring it up to date
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Print the layers around the service, in their order, with their settings
    Stack,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether the settings are valid; exit with 78 if not
    Check,
    /// Print every setting with where it came from; secrets are redacted
    Show,
}

#[derive(Debug, Subcommand)]
enum MigrateCommand {
    /// Run what is pending
    Up,
    /// Print what is pending
    Status,
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    ///
    /// Whatever ended it: settings that are not valid, a database that cannot be opened, an address in use.
    pub async fn run(self) -> ExitResult {
        let loader = Loader::new("orders").profile(self.profile).directory(self.config_dir);
        let loaded = settings::load(self.set.into_iter().fold(loader, Loader::set))?;
        match self.command.unwrap_or(Command::Serve) {
            Command::Serve => serve(&loaded).await,
            Command::Config(ConfigCommand::Check) => {
                print(&format!("the configuration is valid (profile {})\n", loaded.profile))
            }
            Command::Config(ConfigCommand::Show) => print(&effective(&loaded)),
            Command::Migrate(command) => migrate(&loaded.settings, &command).await,
            Command::Stack => print(&server::stack(&loaded.settings.server)?.describe()),
        }
    }
}

/// One line a setting: key, value, source.
fn effective(loaded: &Loaded<Settings>) -> String {
    let line = |setting: mainstay::config::Setting| {
        let source = setting.source.unwrap_or_else(|| "default of the type".to_owned());
        format!("{} = {}  # {source}\n", setting.key, setting.value)
    };
    let header =
        format!("# profile {}; read, lowest first: {}\n", loaded.profile, loaded.sources().join(", "));
    loaded.effective().into_iter().map(line).fold(header, |text, line| text + &line)
}

async fn migrate(settings: &Settings, command: &MigrateCommand) -> ExitResult {
    let database = database::connect(&settings.database.url).await?;
    let (steps, what, none) = match command {
        MigrateCommand::Up => (database.migrate().await?, "ran", "nothing to do: the schema is up to date\n"),
        MigrateCommand::Status => (database.pending().await?, "pending", "nothing is pending\n"),
    };
    let lines: String = steps.iter().map(|step| format!("{what}: {step}\n")).collect();
    database.close().await?;
    print(if lines.is_empty() { none } else { &lines })
}

fn print(text: &str) -> ExitResult {
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}
