//! The one subscriber of the process, in a process of its own.

use mainstay_telemetry::{TelemetryConfig, TelemetryError, init};

#[test]
fn the_first_subscriber_stays_and_the_second_is_refused() {
    let guard = init(&TelemetryConfig::default()).unwrap();
    assert!(tracing::enabled!(tracing::Level::INFO));
    assert!(!tracing::enabled!(tracing::Level::DEBUG));
    assert!(matches!(init(&TelemetryConfig::default()), Err(TelemetryError::AlreadySet)));
    drop(guard);
    assert!(tracing::enabled!(tracing::Level::INFO));
}
