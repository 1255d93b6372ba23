//! The process as a user starts it: what it prints, what its log says, how it ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tempfile::TempDir;

/// The binary in an empty folder, on ports that the system chooses, with nothing of this process's environment.
fn order_app(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_order-app"));
    command.args(arguments).current_dir(folder.path()).env_clear();
    command.env("ORDERS__SERVER__LISTEN", "127.0.0.1:0").env("ORDERS__MANAGEMENT__LISTEN", "127.0.0.1:0");
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = order_app(&TempDir::new().unwrap(), arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A started service; killed if a test gives up on it.
struct Service {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    folder: TempDir,
}

impl Service {
    fn start() -> Self {
        Self::start_in(TempDir::new().unwrap(), &[])
    }

    fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        let mut child = order_app(&folder, arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, folder }
    }

    /// The next printed line that holds this text.
    fn line_with(&mut self, text: &str) -> String {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        lines.find(|line| line.contains(text)).unwrap_or_else(|| panic!("no line with {text:?} was printed"))
    }

    /// Puts a file of this content in the place of another, at once and whole.
    fn replace(&self, name: &str, content: &str) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, self.folder.path().join(name)).unwrap();
    }

    /// Asks the process to stop, as an orchestrator does, and waits for its end.
    fn terminate(&mut self) -> i32 {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends what the printed curl line would send; the answer's status, location and request id.
async fn send_as_curl_would(line: &str) -> (u16, String, String) {
    let quoted: Vec<&str> = line.split('\'').skip(1).step_by(2).collect();
    let [tenant, content_type, body] = quoted[..] else { panic!("unexpected line: {line}") };
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let mut request = http::Request::post(url).body(Full::<Bytes>::from(body.to_owned())).unwrap();
    for header in [tenant, content_type] {
        let (name, value) = header.split_once(": ").unwrap();
        request.headers_mut().insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (parts, body) = client.request(request).await.unwrap().into_parts();
    body.collect().await.unwrap();
    let header =
        |name| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    (parts.status.as_u16(), header("location"), header("x-request-id"))
}

async fn read(url: &str) -> String {
    let (status, text) = answer_to(http::Request::get(url), "").await;
    assert_eq!(status, 200);
    text
}

async fn put(url: &str, value: &str) -> (u16, String) {
    answer_to(http::Request::put(url), value).await
}

async fn answer_to(request: http::request::Builder, body: &str) -> (u16, String) {
    let request = request.body(Full::<Bytes>::from(body.to_owned())).unwrap();
    let answer = Client::builder(TokioExecutor::new()).build_http().request(request).await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.into_body().collect().await.unwrap().to_bytes().to_vec();
    (status, String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn a_newcomers_first_order_is_taken_and_its_log_line_names_the_request() {
    let mut service = Service::start();
    let http = service.line_with("  http ");
    assert!(http.contains("http://127.0.0.1:"), "something listens beyond loopback: {http}");
    assert!(service.line_with("  management ").contains("http://127.0.0.1:"));
    assert!(service.line_with("  payments ").contains("http://127.0.0.1:"));
    let curl = service.line_with("curl -i");

    let (status, location, request_id) = send_as_curl_would(&curl).await;
    assert_eq!(status, 201);
    assert!(location.starts_with("/orders/"), "{location}");
    let line = service.line_with("mainstay::access");
    assert!(line.contains(&request_id) && line.contains("201"), "{line}");

    assert_eq!(service.terminate(), 0);
}

#[tokio::test]
async fn the_circuit_to_the_provider_is_seen_on_the_management_listener() {
    let mut service = Service::start();
    let line = service.line_with("  management ");
    let address = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let breakers = address.replace("/readyz", "/breakers");
    let curl = service.line_with("curl -i");
    assert_eq!(read(&breakers).await, "payments has called nobody yet\n");
    assert_eq!(send_as_curl_would(&curl.replace("tok_ok", "tok_flaky")).await.0, 201);
    let seen = read(&breakers).await;
    assert!(
        seen.starts_with("payments http://127.0.0.1:") && seen.contains(" closed: 1 of 2 calls failed"),
        "{seen}"
    );
    assert_eq!(service.terminate(), 0);
}

#[tokio::test]
async fn tenants_are_served_and_sent_away_as_the_files_say_without_a_restart() {
    let folder = TempDir::new().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    std::fs::copy(format!("{source}/default.toml"), folder.path().join("default.toml")).unwrap();
    let development = std::fs::read_to_string(format!("{source}/development.toml")).unwrap();
    let only = |tenants: &str| development.replace(r#"["acme", "globex"]"#, tenants);
    std::fs::write(folder.path().join("development.toml"), only(r#"["globex"]"#)).unwrap();

    let mut service = Service::start_in(folder, &["--config-dir", "."]);
    let curl = service.line_with("curl -i").replace("globex", "acme");
    assert_eq!(send_as_curl_would(&curl).await.0, 403);

    service.replace("development.toml", &only(r#"["acme"]"#));
    let line = service.line_with("new settings are in force");
    assert!(line.contains("changed: tenants"), "{line}");
    assert_eq!(send_as_curl_would(&curl).await.0, 201);

    service.replace("development.toml", &(only(r#"["acme"]"#) + "tmeout = '1s'\n"));
    assert!(service.line_with("the settings in force stay").contains("payment.tmeout"));
    assert_eq!(send_as_curl_would(&curl).await.0, 201);

    let restart =
        only(r#"["acme"]"#) + "[payment.client.timeout]\nlimit = '3s'\n[runtime]\ngrace_period = '1s'\n";
    service.replace("development.toml", &restart);
    let line = service.line_with("new settings are in force");
    assert!(line.ends_with("needs a restart: runtime.grace_period"), "{line}");
    assert_eq!(service.terminate(), 0);
}

#[tokio::test]
async fn the_logs_level_is_changed_on_the_management_listener_and_by_the_files() {
    let folder = TempDir::new().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    for file in ["default.toml", "development.toml"] {
        std::fs::copy(format!("{source}/{file}"), folder.path().join(file)).unwrap();
    }
    std::fs::write(folder.path().join("local.toml"), "").unwrap();
    let mut service = Service::start_in(folder, &["--config-dir", "."]);
    let line = service.line_with("  management ");
    let address = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let page = address.replace("/readyz", "/log-level");
    let curl = service.line_with("curl -i");

    assert_eq!(put(&page, "loud").await.0, 422);
    assert_eq!(put(&page, "warn").await, (200, "warn".to_owned()));
    let (_, _, unseen) = send_as_curl_would(&curl).await;
    assert_eq!(put(&page, "info").await, (200, "info".to_owned()));
    let (_, _, seen) = send_as_curl_would(&curl).await;
    let line = service.line_with("mainstay::access");
    assert!(line.contains(&seen) && !line.contains(&unseen), "{line}");

    service.replace("local.toml", "[telemetry.log]\nlevel = 'debug'\n");
    assert!(service.line_with("new settings are in force").contains("telemetry.log.level"));
    assert_eq!(read(&page).await, "debug");
    assert_eq!(service.terminate(), 0);
}

#[test]
fn production_does_not_start_without_its_settings_and_says_which() {
    let (code, _, report) = run(&["--profile", "production"]);
    assert_eq!(code, 78);
    assert!(report.contains("set ORDERS__PAYMENT__URL"), "{report}");
}

#[test]
fn production_refuses_the_simulator_and_a_schema_that_is_behind() {
    let folder = TempDir::new().unwrap();
    let production = |arguments: &[&str], url: &str| {
        let mut command = order_app(&folder, arguments);
        command.env("ORDERS_PROFILE", "production").env("ORDERS__TENANTS", "acme");
        command.env("ORDERS__PAYMENT__URL", url).env("ORDERS__PAYMENT__API_KEY", "a-key-of-the-provider");
        let Output { status, stdout, stderr } = command.output().unwrap();
        (status.code().unwrap(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
    };
    let (code, text) = production(&["serve"], "https://payments.example/");
    assert_eq!(code, 1);
    assert!(text.contains("order-app migrate up"), "{text}");

    let (code, text) = production(&["migrate", "status"], "https://payments.example/");
    assert!(code == 0 && text.contains("pending: 0001"), "{text}");
    assert_eq!(production(&["migrate", "up"], "https://payments.example/").0, 0);
    assert_eq!(production(&["migrate", "status"], "https://payments.example/").1, "nothing is pending\n");

    let (code, text) = production(&["serve"], "simulator");
    assert_eq!(code, 1);
    assert!(text.contains("refused in profile production"), "{text}");
}

#[test]
fn a_wrong_profile_is_never_silently_another_one() {
    let (code, _, report) = run(&["--profile", "prodution", "config", "check"]);
    assert_eq!(code, 78);
    assert!(report.contains("production"), "{report}");
}

#[test]
fn the_settings_are_shown_with_their_sources_and_without_secrets() {
    let (code, shown, _) = run(&["config", "show", "--set", "payment.api_key=hunter2"]);
    assert_eq!(code, 0);
    assert!(shown.contains(r#"server.listen = "127.0.0.1:0"  # ORDERS__SERVER__LISTEN"#), "{shown}");
    assert!(shown.contains(r#"payment.api_key = "[redacted]"  # --set payment.api_key"#), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(run(&["config", "check"]).1, "the configuration is valid (profile development)\n");
}

#[test]
fn a_folder_of_ones_own_replaces_the_built_in_files() {
    let folder = TempDir::new().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    for file in ["default.toml", "development.toml"] {
        std::fs::copy(format!("{source}/{file}"), folder.path().join(file)).unwrap();
    }
    std::fs::write(folder.path().join("local.toml"), "[ordering]\nreconcile_every = '7s'\n").unwrap();
    let (_, shown, _) = run(&["config", "show", "--config-dir", folder.path().to_str().unwrap()]);
    let line = shown.lines().find(|line| line.starts_with("ordering.reconcile_every")).unwrap();
    assert!(line.starts_with("ordering.reconcile_every = \"7s\"") && line.contains("local.toml:2"), "{line}");
}

#[test]
fn the_stack_is_printed_in_its_order() {
    let (code, text, _) = run(&["stack"]);
    assert_eq!(code, 0);
    let places: Vec<_> = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).collect();
    assert_eq!(
        places,
        [
            "1. context",
            "2. access log",
            "3. security headers",
            "4. problems",
            "5. panic guard",
            "6. rate limit",
            "7. concurrency limit",
            "8. load shedding",
            "9. deadline",
            "10. received bytes, upload deadline",
            "11. shape",
            "12. tenant",
            "13. rate limit by tenant",
            "14. idempotency key",
            "1. call log",
            "2. replay",
            "3. timeout of the call",
            "4. rate limit",
            "5. throttle",
            "6. retry",
            "7. hedge",
            "8. attempt log",
            "9. propagation",
            "10. breaker, one for each origin",
            "11. bulkhead",
            "12. timeout of the attempt",
            "13. peek",
            "14. timeout of the body",
        ]
    );
}

#[test]
fn production_is_refused_without_its_secrets_and_ci_checks_the_rest() {
    let (code, text, report) = run(&["config", "check", "--profile", "production"]);
    assert_eq!((code, text.as_str()), (78, ""));
    assert!(report.contains("set ORDERS__PAYMENT__URL"), "{report}");

    let (code, text, _) = run(&["config", "check", "--all-profiles"]);
    let expected = "development: valid\n\
        staging: valid\n  to be supplied: payment.api_key, payment.url, tenants\n\
        production: valid\n  to be supplied: payment.api_key, payment.url, tenants\n";
    assert_eq!((code, text.as_str()), (0, expected));

    let (code, _, report) =
        run(&["config", "check", "--all-profiles", "--set", "server.tenant.labels=20000"]);
    assert_eq!(code, 78);
    assert_eq!(report.matches("server.tenant.labels: greater than 10000").count(), 3);
}

#[test]
fn one_setting_is_explained_source_by_source() {
    let (code, text, _) = run(&["config", "explain", "server.listen"]);
    assert_eq!(code, 0);
    assert!(text.contains(r#""127.0.0.1:8080"  built-in default.toml:4:10"#), "{text}");
    assert!(text.contains("wins: the environment beats built-in default.toml"), "{text}");

    let (code, text, _) = run(&["config", "explain", "payment", "--set", "payment.api_key=hunter2"]);
    assert_eq!(code, 0);
    assert!(text.contains("payment.api_key, lowest source first:") && text.contains("payment.url"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("development-only"), "{text}");

    let (code, _, report) = run(&["config", "explain", "server.lissten"]);
    assert_eq!(code, 1);
    assert!(report.contains("did you mean `server.listen`?"), "{report}");
}

#[test]
fn the_template_is_a_configuration_and_the_schema_knows_every_key_of_the_files() {
    let (code, template, _) = run(&["config", "template"]);
    assert_eq!(code, 0);
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("default.toml"), &template).unwrap();
    std::fs::write(folder.path().join("development.toml"), "").unwrap();
    let checked = order_app(&folder, &["config", "check", "--config-dir", "."])
        .env("ORDERS__TENANTS", "acme")
        .env("ORDERS__DATABASE__URL", "sqlite:orders.db")
        .env("ORDERS__PAYMENT__URL", "simulator")
        .env("ORDERS__PAYMENT__API_KEY", "a-key-of-the-provider")
        .env("ORDERS__ORDERING__RECONCILE_EVERY", "5s")
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let (code, variables, _) = run(&["config", "template", "--env"]);
    assert_eq!(code, 0);
    let (code, schema, _) = run(&["config", "schema"]);
    assert_eq!(code, 0);
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let (_, shown, _) = run(&["config", "show"]);
    for line in shown.lines().filter(|line| !line.starts_with('#')) {
        // The last word of this key is a choice that has a value: schema and templates name what is chosen.
        let key = line.split(" = ").next().unwrap().trim_end_matches(".calls");
        let pointer = format!("/properties/{}", key.replace('.', "/properties/"));
        assert!(schema.pointer(&pointer).is_some(), "{pointer}");
        let name = format!("\n#ORDERS__{}=", key.replace('.', "__").to_uppercase());
        assert!(variables.contains(&name), "{name}");
        assert!(template.contains(&format!("\n#{} =", key.rsplit('.').next().unwrap())), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["payment"]["properties"]["api_key"]["writeOnly"], true);
    assert_eq!(
        schema.pointer("/properties/server/properties/tenant/properties/labels/maximum"),
        Some(&json!(10_000))
    );
}
