//! The stack in words.

use std::fmt::Write as _;

use super::{HttpConfig, ServerConfig, by_tenant};
use crate::describe::{Described, settings, written};

pub(super) fn describe(config: &ServerConfig) -> String {
    let (by_tenant, others) = by_tenant(&config.rate_limit);
    let layers: [Described; 14] = [
        ("context", settings(&config.context)),
        ("access log", settings(&config.access_log)),
        ("security headers", settings(&config.security_headers)),
        ("problems", settings(&config.problems)),
        ("panic guard", settings(&config.panic_guard)),
        ("rate limit", settings(&others)),
        ("concurrency limit", settings(&config.concurrency_limit)),
        ("load shedding", settings(&config.load_shed)),
        ("deadline", settings(&config.deadline)),
        ("received bytes, upload deadline", Vec::new()),
        ("shape", settings(&config.shape)),
        ("tenant", settings(&config.tenant)),
        ("rate limit by tenant", settings(&by_tenant)),
        ("idempotency key", settings(&config.idempotency)),
    ];
    let mut text = written("server stack, outermost first", &layers, "your service");
    if config.http != HttpConfig::default() {
        text += "composed around an axum router (`around`), in their places\n";
        for (key, value) in settings(&config.http) {
            writeln!(text, "     {key} = {value}").expect("writing to a string does not fail");
        }
    }
    text
}
