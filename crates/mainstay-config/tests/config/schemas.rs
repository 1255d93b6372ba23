//! The schema and the templates: what they say, that they say it every time alike, and that they load again.

use std::collections::BTreeMap;
use std::time::Duration;

use garde::Validate;
use mainstay_config::{Loader, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{folder, loader};

/// What the service can be told.
#[derive(Debug, Deserialize, Serialize, Validate, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Documented {
    /// Who is served.
    ///
    /// One name for each.
    #[garde(length(min = 1))]
    tenants: Vec<String>,
    /// The listener, see [`Server::port`].
    #[garde(dive)]
    #[serde(default)]
    server: Server,
    /// Kept where nobody looks.
    #[garde(dive)]
    vault: Vault,
    /// A second listener.
    #[garde(dive)]
    spare: Option<Server>,
    /// Sent with every answer.
    #[garde(skip)]
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Whom to ask.
    #[garde(skip)]
    #[serde(default)]
    peers: Vec<Peer>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize, Validate, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Server {
    /// Where to listen.
    #[garde(range(min = 1, max = 9000))]
    port: u16,
    /// A name with 'quotes', "more" and a \.
    #[garde(length(min = 1, max = 40))]
    name: String,
    /// How long.
    #[garde(skip)]
    #[serde(with = "millis")]
    #[schemars(with = "String")]
    timeout: Duration,
    /// The form of a line.
    #[garde(skip)]
    format: Format,
    /// A share.
    #[garde(range(max = 1.0))]
    share: Option<f64>,
    /// Whether at all.
    #[garde(skip)]
    enabled: bool,
    /// Whom to call: a password in a default is bad enough.
    #[garde(skip)]
    upstream: String,
    #[garde(skip)]
    #[serde(rename = "Odd-Name")]
    odd: Vec<u8>,
}

#[derive(Debug, Deserialize, Serialize, Validate, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Vault {
    /// The key to everything.
    #[garde(skip)]
    key: Secret<String>,
    /// One for development.
    #[garde(skip)]
    #[serde(default = "pin")]
    pin: Secret<u32>,
    #[garde(skip)]
    spare: Option<Secret<String>>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
struct Peer {
    name: String,
}

/// The form.
#[derive(Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// For machines.
    Json,
    /// For people.
    Pretty,
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}ms", length.as_millis()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.strip_suffix("ms").and_then(|digits| digits.parse().ok());
        number.map(Duration::from_millis).ok_or_else(|| de::Error::custom("expected a time, as 20ms"))
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            port: 8080,
            name: "it's \"here\" \\ # = x".to_owned(),
            timeout: Duration::from_millis(1500),
            format: Format::Pretty,
            share: None,
            enabled: true,
            upstream: "https://app:hunter2@example.org".to_owned(),
            odd: vec![1, 2],
        }
    }
}

fn pin() -> Secret<u32> {
    Secret::new(314_159)
}

#[test]
fn the_schema_is_what_editors_accept() {
    insta::assert_snapshot!(loader().json_schema::<Documented>());
}

#[test]
fn the_template_documents_every_key() {
    insta::assert_snapshot!(loader().toml_template::<Documented>());
}

#[test]
fn the_env_template_documents_every_variable() {
    insta::assert_snapshot!(loader().env_template::<Documented>());
}

#[test]
fn no_default_of_a_secret_and_no_password_in_a_url_gets_into_them() {
    let loader = loader();
    for text in [
        loader.json_schema::<Documented>(),
        loader.toml_template::<Documented>(),
        loader.env_template::<Documented>(),
    ] {
        for secret in ["hunter2", "314159", "redacted"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

/// Every line that shows a default, without its `#`.
fn with_defaults_set(template: &str) -> String {
    let set = |line: &str| {
        let is_default = line.starts_with('#') && !line.starts_with("# ") && !line.ends_with('=');
        if is_default { line[1..].to_owned() } else { line.to_owned() }
    };
    template.lines().map(|line| set(line) + "\n").collect()
}

fn loaded(template: &str) -> Documented {
    let folder = folder(&[("default.toml", template), ("development.toml", "")]);
    let given = [("ORDERS__TENANTS", "acme"), ("ORDERS__VAULT__KEY", "hunter2")];
    let loader = loader().directory(Some(folder.path().to_owned())).environment(given);
    loader.load::<Documented>().map_err(|report| format!("{report}\n{template}")).expect("valid").settings
}

#[test]
fn the_template_loads_again_to_the_defaults_also_with_every_default_set() {
    let template = loader().toml_template::<Documented>();
    let bare = loaded(&template);
    assert_eq!(bare.server, Server::default());
    assert_eq!(*bare.vault.pin.expose(), 314_159);
    assert!(bare.spare.is_none() && bare.headers.is_empty() && bare.peers.is_empty());

    let set = with_defaults_set(&template);
    assert!(set.contains("\n[spare]\n"), "{set}");
    let set = loaded(&set);
    assert_eq!(set.server, Server::default());
    assert_eq!(set.spare, Some(Server::default()));
}

#[test]
fn a_tables_default_that_differs_from_that_of_its_keys_is_written_down() {
    #[derive(Debug, Deserialize, Serialize, Validate, JsonSchema)]
    struct Outer {
        #[garde(dive)]
        #[serde(default = "busy")]
        pool: Pool,
    }
    #[derive(Debug, PartialEq, Deserialize, Serialize, Validate, JsonSchema)]
    struct Pool {
        #[garde(skip)]
        #[serde(default)]
        idle: u8,
        #[garde(skip)]
        size: u8,
    }
    fn busy() -> Pool {
        Pool { idle: 3, size: 9 }
    }
    let template = loader().toml_template::<Outer>();
    let folder = folder(&[("default.toml", &template), ("development.toml", "")]);
    let loaded = loader().directory(Some(folder.path().to_owned())).load::<Outer>().unwrap();
    assert_eq!(loaded.settings.pool, busy(), "{template}");
}

#[test]
fn flattened_keys_and_enums_with_data_are_in_it() {
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        /// Where to keep it.
        #[serde(rename = "store")]
        _store: Store,
        #[serde(flatten)]
        _inner: Inner,
    }
    #[derive(Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum Store {
        Memory,
        Disk {
            #[serde(rename = "path")]
            _path: String,
        },
    }
    #[derive(Deserialize, JsonSchema)]
    struct Inner {
        /// How deep.
        #[serde(rename = "depth")]
        _depth: u8,
    }
    insta::assert_snapshot!(loader().toml_template::<Outer>());
    let schema = loader().json_schema::<Outer>();
    assert!(schema.contains(r#""path""#) && schema.contains(r#""kind""#), "{schema}");
}

#[test]
fn a_type_that_contains_itself_ends() {
    #[derive(Deserialize, JsonSchema)]
    struct Tree {
        #[serde(rename = "name")]
        _name: String,
        #[serde(default, rename = "below")]
        _below: Vec<Tree>,
        #[serde(rename = "left")]
        _left: Option<Box<Tree>>,
    }
    let template = Loader::new("orders").toml_template::<Tree>();
    assert!(template.contains("#below ="), "{template}");
}
