//! One run finds everything.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use mainstay_config::{Boot, ConfigError, Guard, Loader, Secret, Style};
use url::Url;

use crate::folder;

#[derive(Debug, serde::Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
#[garde(context(Boot as boot))]
#[allow(dead_code, reason = "read by nobody: what matters is what is refused")]
struct Shop {
    #[garde(custom(not_memory_in_production))]
    store: Store,
    #[garde(dive(()))]
    server: Server,
    #[garde(dive(()))]
    db: Database,
    #[garde(skip)]
    session: Session,
    #[garde(skip)]
    payments: Url,
    #[garde(skip)]
    #[serde(default)]
    debug: bool,
    #[garde(skip)]
    #[serde(with = "humantime_serde")]
    timeout: Duration,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Store {
    Memory,
    Files,
}

#[derive(Debug, serde::Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "see above")]
struct Server {
    #[garde(skip)]
    listen: SocketAddr,
    #[garde(skip)]
    port: u16,
    #[garde(range(max = 10_000))]
    connections: u32,
    #[garde(pattern("^[a-z]+$"))]
    name: String,
    #[garde(skip)]
    #[serde(default)]
    tls: bool,
    #[garde(skip)]
    #[serde(default)]
    workers: u8,
}

#[derive(Debug, serde::Deserialize, garde::Validate)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "see above")]
struct Database {
    #[garde(skip)]
    url: Url,
    #[garde(skip)]
    password: Secret<String>,
    #[garde(skip)]
    pin: Secret<u32>,
    #[garde(skip)]
    pool: u8,
    #[garde(skip)]
    region: Region,
}

#[derive(Debug, serde::Deserialize)]
#[allow(dead_code, reason = "see above")]
struct Region {
    zone: String,
}

#[derive(Debug, serde::Deserialize)]
#[allow(dead_code, reason = "see above")]
struct Session {
    key: Secret<String>,
    lifetime: u32,
}

fn not_memory_in_production(store: &Store, boot: &Boot) -> garde::Result {
    if *store == Store::Memory && boot.profile == "production" {
        return Err(garde::Error::new("not in production"));
    }
    Ok(())
}

const DEFAULT: &str = "\
store = 'memory'
payments = 'http://pay.example/'

[server]
listen = '127.0.0.1:80'
port = 'eighty'
name = 'shop'
connections = 10

[db]
pool = 4
region = 'hunter2'

[session]
key = 'development-only'
lifetime = 60
";

const PRODUCTION: &str = "\
store = 'flies'

[server]
Name = 'shop'
connections = 50000
name = 'Shop 2'
tsl = true

[db]
pool = 'many'
passwrd = 'hunter2'
";

fn loader(folder: &Path) -> Loader {
    Loader::new("orders")
        .profile(Some("production".to_owned()))
        .guard(Guard::secret(["session.key"]))
        .guard(Guard::off(["debug"]))
        .guard(Guard::encrypted(["payments"]))
        .guard(Guard::given(["session.lifetime"]))
        .directory(Some(folder.to_owned()))
        .environment([
            ("ORDERS__SERVER__WORKERS", "7"),
            ("ORDERS__SERVER__WORKERS_FILE", folder.join("workers").to_str().expect("a plain name")),
            ("ORDERS__DB__REGION__ZONE", "eu"),
            ("ORDERS__DB__PIN", "hunter2"),
            ("ORDERS__DEBUG", "yes"),
            ("ORDERS__SESION__KEY", "hunter2"),
            ("ORDERS__SERVER__PORT", "80a"),
            ("ORDERS__SERVER__TLS", "no"),
            ("ORDERS__SERVER__tls", "yes"),
            ("ORDERS__SESSION__LIFETME", "7"),
            ("ORDERS_PORT", "tcp://10.0.0.1:80"),
            ("ORDERS_SERVICE_HOST", "10.0.0.1"),
        ])
}

fn error() -> (ConfigError, String) {
    let folder = folder(&[("default.toml", DEFAULT), ("production.toml", PRODUCTION), ("workers", "8")]);
    let error = loader(folder.path()).load::<Shop>().expect_err("a report");
    let place = folder.path().to_string_lossy().into_owned();
    (error, place)
}

#[test]
fn every_kind_of_mistake_is_found_in_one_run() {
    let (error, place) = error();
    insta::assert_snapshot!(error.to_string().replace(&place, "config"), @"
    the configuration of orders is not valid: 20 problems, 3 warnings (profile production, from --profile)

     1. MC013 payments: a plain http URL; refused in production
        --> config/default.toml:2:12
     2. MC011 db.region: cannot be a single value and have keys of its own
        --> config/default.toml:12:10 and ORDERS__DB__REGION__ZONE
     3. MC013 session.key: a value that is known to everybody; refused in production
        --> config/default.toml:15:7
     4. MC013 session.lifetime: still the default; refused in production
        --> config/default.toml:16:12
     5. MC006 store: expected one of `memory`, `files`, found other text
        --> config/production.toml:1:9
       1 | store = 'flies'
         |         ^^^^^^^
        help: did you mean `files`?
     6. MC010 server.name: given in different case, as `Name`, `name`
        --> config/production.toml:4:1 and config/default.toml:7:1 and config/production.toml:6:1
        help: only `name` is read
     7. MC012 server.connections: greater than 10000
        --> config/production.toml:5:15
       5 | connections = 50000
         |               ^^^^^
     8. MC012 server.name: does not match pattern /^[a-z]+$/
        --> config/production.toml:6:8
       6 | name = 'Shop 2'
         |        ^^^^^^^^
     9. MC008 server.tsl: unknown key
        --> config/production.toml:7:1
        help: did you mean `server.tls`?
    10. MC005 db.pool: expected u8, found text
        --> config/production.toml:10:8
      10 | pool = 'many'
         |        ^^^^^^
    11. MC008 db.passwrd: unknown key
        --> config/production.toml:11:1
        help: did you mean `db.password`?
        help: `db.password` is required and not set, which this probably explains
    12. MC005 db.pin: expected u32, found [redacted]
        --> ORDERS__DB__PIN
    13. MC013 debug: switched on; refused in production
        --> ORDERS__DEBUG
    14. MC005 server.port: expected u16, found text
        --> ORDERS__SERVER__PORT
    15. MC010 server.tls: set twice, and the order of variables says nothing
        --> ORDERS__SERVER__TLS and ORDERS__SERVER__tls
    16. MC010 server.workers: set by its value and by a file that holds it: one of the two has to go
        --> ORDERS__SERVER__WORKERS and ORDERS__SERVER__WORKERS_FILE
    17. MC009 sesion: the variable names a key that does not exist
        --> ORDERS__SESION__KEY
        help: did you mean ORDERS__SESSION__KEY?
    18. MC009 session.lifetme: the variable names a key that does not exist
        --> ORDERS__SESSION__LIFETME
        help: did you mean ORDERS__SESSION__LIFETIME?
    19. MC007 db.url: required, and no source sets it
        looked in: ORDERS__DB__URL, config/production.toml, config/default.toml
        help: set ORDERS__DB__URL, or `db.url` in config/production.toml
    20. MC007 timeout: required, and no source sets it
        looked in: ORDERS__TIMEOUT, config/production.toml, config/default.toml
        help: set ORDERS__TIMEOUT, or `timeout` in config/production.toml
    21. MC014 warning: server.port: overridden, and wrong all the same: expected u16, found text
        --> config/default.toml:6:8
       6 | port = 'eighty'
         |        ^^^^^^^^
    22. MC015 warning: injected by Kubernetes for a Service, and not read
        --> ORDERS_PORT
        help: set `enableServiceLinks: false` in the pod's specification
    23. MC015 warning: injected by Kubernetes for a Service, and not read
        --> ORDERS_SERVICE_HOST
        help: set `enableServiceLinks: false` in the pod's specification

    read, lowest first: config/default.toml, config/production.toml, ORDERS__SERVER__WORKERS, config/workers from ORDERS__SERVER__WORKERS_FILE, ORDERS__DB__REGION__ZONE, ORDERS__DB__PIN, ORDERS__DEBUG, ORDERS__SESION__KEY, ORDERS__SERVER__PORT, ORDERS__SERVER__TLS, ORDERS__SERVER__tls, ORDERS__SESSION__LIFETME
    ");
}

#[test]
fn the_same_is_there_for_machines() {
    let (error, place) = error();
    let json: serde_json::Value = serde_json::from_str(&error.to_json().replace(&place, "config")).unwrap();
    let problems = json["problems"].as_array().unwrap();
    assert_eq!(problems.len(), error.problems().len());
    let first = problems.iter().find(|problem| problem["key"] == "db.pool").unwrap();
    insta::assert_snapshot!(first, @r#"{"code":"MC005","help":[],"key":"db.pool","message":"expected u8, found text","severity":"error","source":{"column":8,"file":"config/production.toml","kind":"file","line":10},"sources":[]}"#);
    let variable = problems.iter().find(|problem| problem["key"] == "server.port").unwrap();
    insta::assert_snapshot!(variable, @r#"{"code":"MC005","help":[],"key":"server.port","message":"expected u16, found text","severity":"error","source":{"kind":"variable","variable":"ORDERS__SERVER__PORT"},"sources":[]}"#);
}

#[test]
fn colours_are_there_only_when_asked_for() {
    let (error, _) = error();
    assert!(!error.to_string().contains('\u{1b}'));
    let coloured = error.report(Style::Coloured);
    assert!(coloured.contains("\u{1b}[1;31mMC006\u{1b}[0m"), "{coloured}");
}

#[test]
fn a_report_does_not_contain_what_may_be_secret() {
    let (error, _) = error();
    for shown in [error.to_string(), error.to_json(), format!("{error:?}")] {
        assert!(!shown.contains("hunter2") && !shown.contains("development-only"), "{shown}");
    }
}
