//! What holds of the start.

use std::io::{Read, Write};
use std::net::TcpStream;

use mainstay_runtime::RuntimeError;

use crate::client::get;
use crate::{ANY, Running, runtime, service};

#[tokio::test]
async fn a_listener_that_cannot_be_bound_is_named_and_nothing_is_served() {
    let taken = std::net::TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap();
    let error = runtime()
        .serve("http", ANY, service(|_| async { String::new() }))
        .serve("internal", address, service(|_| async { String::new() }))
        .on_started(|_| panic!("nothing starts"))
        .run()
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), format!("cannot bind `internal` to {address}"));
    assert!(matches!(error, RuntimeError::Bind { name: "internal", .. }));
}

/// The hook blocks, so the management pages need a thread beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn until_the_hooks_have_run_the_service_is_starting() {
    runtime()
        .management(ANY)
        .on_started(|addresses| {
            let mut stream = TcpStream::connect(addresses[0].1).unwrap();
            stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("starting"), "{answer}");
        })
        .shutdown_when(async {})
        .run()
        .await
        .unwrap();
}

#[tokio::test]
async fn the_management_pages_answer_on_their_own_address() {
    let http = service(|_| async { "from the service".to_owned() });
    let runtime = runtime().serve("http", ANY, http).page("/stack", "context > log");
    let running = Running::start(runtime).await;

    assert_eq!(get(running.http, "/livez").await.1, "from the service");
    assert_eq!(get(running.management, "/livez").await, (200, "ok".to_owned()));
    assert_eq!(get(running.management, "/readyz").await, (200, "ready".to_owned()));
    assert_eq!(get(running.management, "/stack").await, (200, "context > log".to_owned()));
    assert_eq!(get(running.management, "/other").await.0, 404);
    running.end().await.unwrap();
}
