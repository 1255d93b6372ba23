//! A gRPC service on the same stack: ids in the metadata, one log line with the gRPC status, the caller's deadline.
//!
//! ```text
//! cargo run -p hello --bin tonic
//! grpcurl -plaintext -max-time 1 127.0.0.1:50051 grpc.health.v1.Health/Check
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use mainstay::Peer;
use mainstay::server::{self, ServerConfig};
use mainstay::telemetry::{self, TelemetryConfig};
use tonic::transport::Server;
use tonic::transport::server::TcpConnectInfo;

fn main() -> ExitCode {
    mainstay::run(async {
        let _telemetry = telemetry::init(&TelemetryConfig::default())?;
        let (_reporter, health) = tonic_health::server::health_reporter();
        let stack = server::stack(&ServerConfig::default())?.peer(tonic_peer);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_051));
        let server = Server::builder().layer(stack).add_service(health);
        server.serve_with_shutdown(address, async { drop(tokio::signal::ctrl_c().await) }).await?;
        Ok(())
    })
}

/// Where tonic's own transport keeps the peer. (Under `mainstay::Runtime` this is not needed.)
fn tonic_peer(extensions: &http::Extensions) -> Option<Peer> {
    let address = extensions.get::<TcpConnectInfo>()?.remote_addr()?;
    Some(Peer { address, encrypted: false })
}
