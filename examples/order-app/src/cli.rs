//! The command line: what to do, under which settings.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use mainstay::ExitResult;
use mainstay::config::{ConfigCommand, Loader};

use crate::database;
use crate::serve::{serve, stacks};
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
        let loader = settings::sources(self.set.into_iter().fold(loader, Loader::set));
        match self.command.unwrap_or(Command::Serve) {
            Command::Serve => serve(loader).await,
            Command::Config(command) => Ok(command.run::<Settings>(loader, &mut io::stdout().lock())?),
            Command::Migrate(command) => migrate(&loader.load()?.settings, &command).await,
            Command::Stack => {
                let settings = loader.load::<Settings>()?.settings;
                print(&stacks(&settings)?)
            }
        }
    }
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
