//! The stack in words.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::{HttpConfig, ServerConfig, by_tenant};

pub(super) fn describe(config: &ServerConfig) -> String {
    let (by_tenant, others) = by_tenant(&config.rate_limit);
    let layers = [
        ("context", settings(&config.context)),
        ("access log", settings(&config.access_log)),
        ("security headers", settings(&config.security_headers)),
        ("problems", settings(&config.problems)),
        ("panic guard", Vec::new()),
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
    let mut text = "server stack, outermost first\n".to_owned();
    for (place, (name, settings)) in (1..).zip(&layers) {
        writeln!(text, "{place}. {name}").expect("writing to a string does not fail");
        for (key, value) in settings {
            writeln!(text, "     {key} = {value}").expect("writing to a string does not fail");
        }
    }
    text += "   your service\n";
    if config.http != HttpConfig::default() {
        text += "composed around an axum router (`around`), in their places\n";
        for (key, value) in settings(&config.http) {
            writeln!(text, "     {key} = {value}").expect("writing to a string does not fail");
        }
    }
    text
}

/// The settings' leaves with their dotted keys, in the order of the struct.
fn settings(config: &impl Serialize) -> Vec<(String, Value)> {
    let mut leaves = Vec::new();
    collect("", serde_json::to_value(config).unwrap_or(Value::Null), &mut leaves);
    leaves
}

fn collect(key: &str, value: Value, leaves: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                collect(&key, value, leaves);
            }
        }
        leaf => leaves.push((key.to_owned(), leaf)),
    }
}
