//! A real signal, in a process of its own.
#![cfg(unix)]

use std::process::{Command, id};

use mainstay_runtime::{Runtime, RuntimeConfig};

#[tokio::test]
async fn sigterm_ends_the_run_in_an_orderly_way() {
    Runtime::new(&RuntimeConfig::default())
        .on_started(|_| {
            let sent = Command::new("kill").args(["-TERM", &id().to_string()]).status().expect("kill");
            assert!(sent.success());
        })
        .run()
        .await
        .unwrap();
}
