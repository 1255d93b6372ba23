//! The client stack in words.

use super::config::ClientConfig;
use crate::describe::{Described, settings, written};

pub(super) fn describe(name: &str, config: &ClientConfig) -> String {
    let log = vec![("client".to_owned(), name.into())];
    let layers: [Described; 14] = [
        ("call log", log),
        ("replay", settings(&config.replay)),
        ("timeout of the call", settings(&config.timeout)),
        ("rate limit", settings(&config.rate_limit)),
        ("throttle", settings(&config.throttle)),
        ("retry", [settings(&config.retry), settings(&config.repeat)].concat()),
        ("hedge", settings(&config.hedge)),
        ("attempt log", Vec::new()),
        ("propagation", settings(&config.propagate)),
        ("breaker, one for each origin", [settings(&config.breaker), settings(&config.judge)].concat()),
        ("bulkhead", settings(&config.bulkhead)),
        ("timeout of the attempt", settings(&config.attempt_timeout)),
        ("peek", Vec::new()),
        ("timeout of the body", settings(&config.body_timeout)),
    ];
    written(&format!("client stack {name}, outermost first"), &layers, "your client")
}
