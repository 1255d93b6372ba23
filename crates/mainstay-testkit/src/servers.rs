//! Finds a real server for an integration test, or says in plain words that there is none.
//!
//! ```
//! use mainstay_testkit::servers;
//!
//! # fn check_orders_are_stored(_address: &str) {}
//! // In a test:
//! # if std::env::var_os("CI").is_none() {
//! let Some(address) = servers::find("PostgreSQL", "MAINSTAY_TEST_POSTGRES", "127.0.0.1:5432") else { return };
//! check_orders_are_stored(&address);
//! # }
//! ```
//!
//! The variable wins and is believed as it is: an address, or a URL with user and password. Without it the usual
//! address is tried. Where nothing answers, a run on a developer's machine skips the test with a line on stderr, and a
//! run in CI (`CI` set to anything but `false` or `0`) fails, because a test that nobody sees skipped is no test.

use std::{
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

/// What a search for a server came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// The server is here: the variable's value, or the usual address.
    Found(String),
    /// There is none and the test may be skipped; with the line to print.
    Skip(String),
    /// There is none and there should be; with the message to fail with.
    Missing(String),
}

/// Where the server is, or `None` after a line on stderr that names the test's need.
///
/// # Panics
///
/// In CI when there is no server, with a message that says what to start.
#[track_caller]
#[allow(clippy::panic, reason = "a test without its server has to fail in CI")]
#[allow(clippy::print_stderr, reason = "stderr is where the test runner shows why a test did nothing")]
pub fn find(server: &str, variable: &str, usual_address: &str) -> Option<String> {
    match search(server, variable, usual_address, |name| std::env::var(name).ok()) {
        Search::Found(address) => Some(address),
        Search::Skip(line) => {
            eprintln!("{line}");
            None
        }
        Search::Missing(message) => panic!("{message}"),
    }
}

/// What [`find`] does, with the environment as an argument and without acting on the result.
pub fn search(
    server: &str,
    variable: &str,
    usual_address: &str,
    environment: impl Fn(&str) -> Option<String>,
) -> Search {
    if let Some(named) = environment(variable).filter(|value| !value.is_empty()) {
        return Search::Found(named);
    }
    if answers(usual_address) {
        return Search::Found(usual_address.to_owned());
    }
    let missing = format!("no {server} answers at {usual_address} and {variable} is not set");
    if environment("CI").is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false")) {
        Search::Missing(format!("{missing}: start {server} there, or set {variable} to where it is"))
    } else {
        Search::Skip(format!("SKIPPED: {missing}"))
    }
}

fn answers(address: &str) -> bool {
    let candidates = address.to_socket_addrs().into_iter().flatten();
    candidates.into_iter().any(|address: SocketAddr| TcpStream::connect_timeout(&address, PATIENCE).is_ok())
}

const PATIENCE: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_variable_wins_and_is_not_tried() {
        let environment = [("TEST_DB", "postgres://me@db.example/orders"), ("CI", "true")];
        assert_eq!(
            check(&listening().0, &environment),
            Search::Found("postgres://me@db.example/orders".to_owned())
        );
    }

    #[test]
    fn the_usual_address_is_taken_when_it_answers() {
        let (address, _listener) = listening();
        assert_eq!(check(&address, &[("CI", "true")]), Search::Found(address.clone()));
        assert_eq!(check(&address, &[("TEST_DB", "")]), Search::Found(address));
    }

    #[test]
    fn a_missing_server_fails_in_ci() {
        let address = silent();
        let message = format!(
            "no postgres answers at {address} and TEST_DB is not set: start postgres there, or set TEST_DB to where it is"
        );
        assert_eq!(check(&address, &[("CI", "true")]), Search::Missing(message));
    }

    #[test]
    fn a_missing_server_skips_elsewhere() {
        let address = silent();
        let line = format!("SKIPPED: no postgres answers at {address} and TEST_DB is not set");
        for environment in [&[][..], &[("CI", "false")], &[("CI", "")]] {
            assert_eq!(check(&address, environment), Search::Skip(line.clone()));
        }
    }

    fn check(address: &str, environment: &[(&str, &str)]) -> Search {
        search("postgres", "TEST_DB", address, |name| {
            let (_, value) = environment.iter().find(|(variable, _)| *variable == name)?;
            Some((*value).to_owned())
        })
    }

    fn listening() -> (String, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (listener.local_addr().unwrap().to_string(), listener)
    }

    /// Nobody can listen on port 0, so nobody ever answers there.
    fn silent() -> String {
        "127.0.0.1:0".to_owned()
    }
}
