//! The payment simulator as a program.

use std::io::{self, Write};
use std::net::SocketAddr;

use clap::Parser;
use payment_simulator::{Simulator, SimulatorConfig};
use tokio::net::TcpListener;

/// A payment provider for development.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:4010")]
    listen: SocketAddr,

    /// Refuse calls that do not carry this key as a bearer token.
    #[arg(long)]
    api_key: Option<String>,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen).await?;
    writeln!(io::stdout(), "payment simulator on http://{}/", listener.local_addr()?)?;

    let simulator =
        Simulator::new(SimulatorConfig { api_key: arguments.api_key, ..SimulatorConfig::default() });
    tokio::select! {
        served = simulator.serve(listener) => served,
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}
