//! Every profile is checked where its secrets are not at hand.

use std::net::SocketAddr;
use std::time::Duration;

use mainstay_config::{Loader, Secret};
use serde::Deserialize;

#[derive(Debug, Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
struct Deployed {
    #[garde(skip)]
    #[serde(rename = "listen")]
    _listen: SocketAddr,
    #[garde(range(min = 1))]
    copies: u8,
    #[garde(dive)]
    payment: Payment,
    #[garde(skip)]
    #[serde(rename = "pin")]
    _pin: Option<Secret<u16>>,
}

#[derive(Debug, Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
struct Payment {
    #[garde(length(min = 3))]
    url: String,
    #[garde(custom(is_long))]
    api_key: Secret<String>,
    #[garde(skip)]
    #[serde(rename = "number")]
    _number: Secret<u64>,
    #[garde(skip)]
    #[serde(rename = "timeout", deserialize_with = "seconds")]
    _timeout: Duration,
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.strip_suffix('s').and_then(|digits| digits.parse().ok());
    digits.map(Duration::from_secs).ok_or_else(|| serde::de::Error::custom("expected seconds, as 2s"))
}

fn is_long(key: &Secret<String>, (): &()) -> garde::Result {
    if key.expose().len() < 32 { Err(garde::Error::new("too short")) } else { Ok(()) }
}

const DEFAULT: &str = "listen = '127.0.0.1:80'\ncopies = 1\n[payment]\ntimeout = '1s'";
const DEVELOPMENT: &str =
    "[payment]\nurl = 'simulator'\nnumber = 7\napi_key = 'a key for development, which is long'";

fn report(default: &'static str, production: &'static str, later: &[&str]) -> String {
    let files =
        [("default.toml", default), ("development.toml", DEVELOPMENT), ("production.toml", production)];
    let loader =
        Loader::new("orders").profiles(&["development", "production"]).embedded(&files).supplied_later(later);
    match loader.check_profiles::<Deployed>() {
        Ok(report) => report.to_string(),
        Err(report) => {
            assert_eq!(report.exit_code(), 78);
            format!("not valid\n{report}")
        }
    }
}

#[test]
fn secrets_and_what_the_application_names_are_supplied_later() {
    insta::assert_snapshot!(report(DEFAULT, "", &["payment.url"]), @"
    development: valid
    production: valid
      to be supplied: payment.api_key, payment.number, payment.url
    ");
}

#[test]
fn what_is_neither_is_missing() {
    insta::assert_snapshot!(report(DEFAULT, "", &[]), @"
    not valid
    development: valid
    production: the configuration of orders is not valid: 1 problem (profile production, from the check of all profiles)

     1. MC007 payment.url: required, and no source sets it
        looked in: ORDERS__PAYMENT__URL, built-in production.toml, built-in default.toml
        help: set ORDERS__PAYMENT__URL, or `payment.url` in built-in production.toml

    read, lowest first: built-in default.toml, built-in production.toml
      to be supplied: payment.api_key, payment.number
    ");
}

#[test]
fn a_whole_table_can_be_supplied_later() {
    let report = report("listen = '127.0.0.1:80'\ncopies = 1", "", &["payment"]);
    assert!(report.contains("production: valid\n  to be supplied: payment"), "{report}");
}

#[test]
fn what_is_given_is_checked_beside_what_is_not() {
    for (production, expected) in [
        ("copies = 0", "copies: lower than 1"),
        ("copies = 'one'", "copies: expected u8, found text"),
        ("coppies = 1", "coppies: unknown key"),
        ("[payment]\napi_key = 'brief'", "payment.api_key: too short"),
        ("pin = 'hunter2'", "pin: expected u16, found [redacted]"),
        ("payment = 'hunter2'", "payment: "),
        ("payment = ", "production.toml:1:"),
    ] {
        let report = report(DEFAULT, production, &["payment.url"]);
        assert!(report.starts_with("not valid\ndevelopment: valid\nproduction: "), "{production}: {report}");
        assert!(report.contains(expected), "{production}: {report}");
        assert!(!report.contains("hunter2"), "{production}: {report}");
    }
}

#[test]
fn the_process_environment_says_nothing() {
    // Without files nothing is given, whatever the variables of this process are.
    let loader = Loader::new("orders").profiles(&["development"]);
    let report = loader.check_profiles::<Deployed>().unwrap_err();
    assert!(!report.is_valid() && report.profiles[0].profile == "development");
    let given = Loader::new("orders")
        .profiles(&["development"])
        .embedded(&[("default.toml", DEFAULT), ("development.toml", DEVELOPMENT)])
        .environment([("ORDERS__COPIES", "0")]);
    assert!(given.check_profiles::<Deployed>().unwrap_err().to_string().contains("ORDERS__COPIES"));
}
