//! What is compared, and what each of ours may cost at most.

use mainstay::server::{self, ServerConfig};
use mainstay_http::access_log::AccessLogLayer;
use mainstay_http::context::ContextLayer;
use mainstay_http::panic_guard::PanicGuardLayer;
use mainstay_http::problem::ProblemsLayer;
use mainstay_http::security_headers::SecurityHeadersLayer;
use tower_layer::Layer;

use super::{peers, proof};
use crate::ceiling::Ceiling;
use crate::exchange::{Extensions, Hello, Send, sender};
use crate::log::Log;

/// One row of the table.
#[derive(Debug)]
pub(super) struct Variant {
    /// Its name in the table and as an argument. One that begins with `+` stands on the row above it.
    pub(super) name: &'static str,
    pub(super) log: Log,
    pub(super) duties: Duties,
    /// None: not ours to hold.
    pub(super) ceiling: Option<Ceiling>,
    start: fn() -> Send,
}

/// What a variant must have done for a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Duties {
    /// The request's id is on the answer.
    pub(super) id: bool,
    /// There is exactly one line in the log, with the id and the status.
    pub(super) line: bool,
    /// The security headers are on the answer.
    pub(super) headers: bool,
}

/// What everything is compared with.
pub(super) const BARE: &str = "bare service";
/// The whole server stack.
pub(super) const OURS: &str = "+ deadline";
/// tower-http's layers with the same duties and the same log.
pub(super) const PEERS: &str = "peers";
/// The whole server stack as it ships, with the log of [`mainstay::telemetry`].
pub(super) const OURS_SHIPPED: &str = "ours, mainstay's log";
/// The whole server stack without a subscriber.
pub(super) const OURS_SILENT: &str = "ours, no log";
/// tower-http's layers with what `tracing_subscriber::fmt().json()` gives.
pub(super) const PEERS_DEFAULT: &str = "peers, default JSON";
/// tower-http's layers without a subscriber.
pub(super) const PEERS_SILENT: &str = "peers, no log";

const NOTHING: Duties = Duties { id: false, line: false, headers: false };
const ID: Duties = Duties { id: true, ..NOTHING };
const LOGGED: Duties = Duties { line: true, ..ID };
const ALL: Duties = Duties { headers: true, ..LOGGED };
const SILENT: Duties = Duties { line: false, ..ALL };

/// All rows in their order, with the ceilings: measured plus 5 % for instructions, exact for allocations.
pub(super) const VARIANTS: [Variant; 13] = [
    peer_or_none(BARE, NOTHING, Log::Json, bare),
    // The listener's part: ours needs to know who calls, the peers do not ask.
    ours("+ peer's address", NOTHING, Log::Json, 5_400, 7, with_peer),
    ours("+ context", ID, Log::Json, 13_950, 12, with_context),
    ours("+ access log", LOGGED, Log::Json, 51_750, 15, with_access_log),
    ours("+ security headers", ALL, Log::Json, 57_900, 17, with_security_headers),
    ours("+ problems", ALL, Log::Json, 58_050, 17, with_problems),
    ours("+ panic guard", ALL, Log::Json, 58_450, 17, with_panic_guard),
    ours(OURS, ALL, Log::Json, 66_100, 17, whole),
    ours(OURS_SHIPPED, ALL, Log::Telemetry, 41_250, 14, whole),
    ours(OURS_SILENT, SILENT, Log::Off, 27_750, 14, whole),
    peer_or_none(PEERS, ALL, Log::Json, composed),
    peer_or_none(PEERS_DEFAULT, ALL, Log::DefaultJson, composed),
    peer_or_none(PEERS_SILENT, SILENT, Log::Off, composed),
];

const fn ours(
    name: &'static str,
    duties: Duties,
    log: Log,
    instructions: u64,
    allocations: u64,
    start: fn() -> Send,
) -> Variant {
    Variant { name, log, duties, ceiling: Some(Ceiling { instructions, allocations }), start }
}

const fn peer_or_none(name: &'static str, duties: Duties, log: Log, start: fn() -> Send) -> Variant {
    Variant { name, log, duties, ceiling: None, start }
}

// === impl Variant ===

impl Variant {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        const { &VARIANTS }.iter().find(|variant| variant.name == name)
    }

    /// A fresh service, ready to be sent requests.
    pub(super) fn start(&self) -> Send {
        (self.start)()
    }

    /// Whether it is the row above it and one layer more.
    pub(super) fn adds_a_layer(&self) -> bool {
        self.name.starts_with('+')
    }
}

fn bare() -> Send {
    sender(Hello, Extensions::None)
}

fn with_peer() -> Send {
    sender(Hello, Extensions::Peer)
}

fn with_context() -> Send {
    sender(ContextLayer::default().layer(Hello), Extensions::Peer)
}

fn with_access_log() -> Send {
    let service = AccessLogLayer::default().layer(Hello);
    sender(ContextLayer::default().layer(service), Extensions::Peer)
}

fn with_security_headers() -> Send {
    let service = SecurityHeadersLayer::default().layer(Hello);
    let service = AccessLogLayer::default().layer(service);
    sender(ContextLayer::default().layer(service), Extensions::Peer)
}

fn with_problems() -> Send {
    let service = ProblemsLayer::default().layer(Hello);
    let service = SecurityHeadersLayer::default().layer(service);
    let service = AccessLogLayer::default().layer(service);
    sender(ContextLayer::default().layer(service), Extensions::Peer)
}

fn with_panic_guard() -> Send {
    let service = PanicGuardLayer::default().layer(Hello);
    let service = ProblemsLayer::default().layer(service);
    let service = SecurityHeadersLayer::default().layer(service);
    let service = AccessLogLayer::default().layer(service);
    sender(ContextLayer::default().layer(service), Extensions::Peer)
}

fn whole() -> Send {
    let stack = server::stack(&ServerConfig::default()).expect("the default settings are valid");
    sender(stack.layer(Hello), Extensions::Peer)
}

fn composed() -> Send {
    sender(peers::stack(&proof::security_headers()), Extensions::None)
}
