//! What helmet 8.3.0 does with some seven hundred options, ours does too: the same headers in the same order, byte for byte,
//! or the same error. `data/helmet.mjs` ran helmet and wrote `data/helmet.json`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::borrow::Cow;
use std::convert::Infallible;

use http::{Request, Response};
use mainstay_core::{Parts, RequestContext, RequestId, Scheme, TraceContext};
use mainstay_http::security_headers::{
    ContentSecurityPolicy, CrossOriginEmbedderPolicy, CrossOriginOpenerPolicy, CrossOriginResourcePolicy,
    DirectiveValue, DnsPrefetchControl, FrameOptions, InvalidSecurityHeaders, PermittedCrossDomainPolicies,
    ReferrerToken, SecurityHeadersConfig, SecurityHeadersLayer, Source, StrictTransportSecurity,
};
use serde_json::{Map, Value};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

const GOLDEN: &str = include_str!("data/helmet.json");

/// Why there are no headers.
#[derive(Debug)]
enum No {
    /// Ours refuses it.
    Refused(InvalidSecurityHeaders),
    /// No settings of ours can say it.
    Unsayable,
}

impl From<InvalidSecurityHeaders> for No {
    fn from(error: InvalidSecurityHeaders) -> Self {
        Self::Refused(error)
    }
}

#[tokio::test]
async fn every_option_and_every_error_is_helmets() {
    let golden: Vec<Value> = serde_json::from_str(GOLDEN).unwrap();
    let (defaults, cases) = golden.split_first().unwrap();
    let (mut sent, mut refused, mut unsayable) = (0, 0, 0);
    for case in cases {
        let ours = match settings(case["options"].as_object().unwrap()) {
            Ok(config) => SecurityHeadersLayer::new(&config).map_err(No::Refused),
            Err(no) => Err(no),
        };
        match (ours, case["error"].as_str()) {
            (Ok(layer), None) => {
                let lines = case["headers"].as_array().unwrap().iter();
                let lines: Vec<_> = lines
                    .map(|line| {
                        line.as_u64().map_or(line, |place| &defaults[usize::try_from(place).unwrap()])
                    })
                    .map(|line| line.as_str().unwrap())
                    .collect();
                assert_eq!(headers(layer).await, lines, "{}", case["options"]);
                sent += 1;
            }
            (Err(No::Refused(error)), Some(text)) => {
                assert_eq!(error.to_string(), text, "{}", case["options"]);
                refused += 1;
            }
            (Err(No::Unsayable), Some(text)) => {
                let known = [
                    "is not a valid value for maxAge",
                    "unsupported property, `maxage`",
                    "instead of `includeSubdomains`",
                    "option was specified twice",
                    "as if it were default-src",
                    // `false`, which takes a directive out in our settings, because TOML has no null.
                    "received an invalid directive value for",
                ];
                assert!(known.iter().any(|known| text.contains(known)), "can be said: {text}");
                unsayable += 1;
            }
            (ours, _) => panic!("helmet and ours disagree: {ours:?} {case}"),
        }
    }
    assert_eq!((sent, refused, unsayable), (507, 180, 37), "the file has other cases than when it was made");
}

/// What is on the answer to a request over https, in its order, if the handler says what powers it.
async fn headers(layer: SecurityHeadersLayer) -> Vec<String> {
    let service = service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::builder().header("x-powered-by", "Express").body(()).unwrap())
    });
    let trace = TraceContext::root([1; 16], [2; 8]);
    let parts = Parts {
        scheme: Some(Scheme::encrypted("https")),
        ..Parts::new(RequestId::v7(1, [0; 10]), trace, Instant::now().into_std())
    };
    let mut request = Request::new(());
    request.extensions_mut().insert(RequestContext::new(parts));
    let answer = layer.layer(service).oneshot(request).await.unwrap();
    let mut lines: Vec<_> =
        answer.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    // A map that takes one out puts its last into the gap.
    if lines.len() > 1 && !lines[0].starts_with("x-powered-by") {
        lines.rotate_left(1);
    }
    lines
}

/// helmet's options and their older names, in the order in which it looks at them: of two mistakes it tells the first.
const OPTIONS: [[&str; 2]; 14] = [
    ["contentSecurityPolicy", ""],
    ["crossOriginEmbedderPolicy", ""],
    ["crossOriginOpenerPolicy", ""],
    ["crossOriginResourcePolicy", ""],
    ["originAgentCluster", ""],
    ["referrerPolicy", ""],
    ["strictTransportSecurity", "hsts"],
    ["xContentTypeOptions", "noSniff"],
    ["xDnsPrefetchControl", "dnsPrefetchControl"],
    ["xDownloadOptions", "ieNoOpen"],
    ["xFrameOptions", "frameguard"],
    ["xPermittedCrossDomainPolicies", "permittedCrossDomainPolicies"],
    ["xPoweredBy", "hidePoweredBy"],
    ["xXssProtection", "xssFilter"],
];

/// helmet's options as ours.
fn settings(options: &Map<String, Value>) -> Result<SecurityHeadersConfig, No> {
    let known = |name: &String| OPTIONS.iter().flatten().any(|known| known == name);
    assert!(options.keys().all(known), "an option that helmet does not have: {options:?}");
    let mut config = SecurityHeadersConfig::default();
    for [name, older] in OPTIONS {
        match (options.get(name), options.get(older)) {
            (Some(_), Some(_)) => return Err(No::Unsayable),
            (Some(option), None) | (None, Some(option)) => set(&mut config, name, option)?,
            (None, None) => {}
        }
        SecurityHeadersLayer::new(&config)?;
    }
    Ok(config)
}

fn set(config: &mut SecurityHeadersConfig, name: &str, option: &Value) -> Result<(), No> {
    let off = option == false;
    let text = |key: &str| option.get(key).and_then(Value::as_str);
    match name {
        "contentSecurityPolicy" => {
            config.content_security_policy.enabled = !off;
            if option.is_object() {
                let policy = policy(option)?;
                if option["reportOnly"] == true {
                    config.content_security_policy.enabled = false;
                    config.content_security_policy_report_only = policy;
                } else {
                    config.content_security_policy = policy;
                }
            }
        }
        "crossOriginEmbedderPolicy" => {
            config.cross_origin_embedder_policy = match text("policy") {
                _ if off => CrossOriginEmbedderPolicy::Disabled,
                None => CrossOriginEmbedderPolicy::RequireCorp,
                Some(policy) => policy.parse()?,
            }
        }
        "crossOriginOpenerPolicy" if off => {
            config.cross_origin_opener_policy = CrossOriginOpenerPolicy::Disabled;
        }
        "crossOriginOpenerPolicy" => {
            config.cross_origin_opener_policy = text("policy").map_or(Ok(Default::default()), str::parse)?;
        }
        "crossOriginResourcePolicy" if off => {
            config.cross_origin_resource_policy = CrossOriginResourcePolicy::Disabled;
        }
        "crossOriginResourcePolicy" => {
            config.cross_origin_resource_policy =
                text("policy").map_or(Ok(Default::default()), str::parse)?;
        }
        "originAgentCluster" => config.origin_agent_cluster = !off,
        "referrerPolicy" => {
            config.referrer_policy.enabled = !off;
            match option.get("policy") {
                None => {}
                Some(Value::Array(tokens)) => config.referrer_policy.policy = referrer_tokens(tokens)?,
                Some(token) => config.referrer_policy.policy = vec![token.as_str().unwrap().parse()?],
            }
        }
        "strictTransportSecurity" => {
            config.strict_transport_security = transport(option)?;
        }
        "xContentTypeOptions" => config.x_content_type_options = !off,
        "xDnsPrefetchControl" => {
            config.x_dns_prefetch_control = match option.get("allow") {
                _ if off => DnsPrefetchControl::Disabled,
                Some(Value::Bool(true)) => DnsPrefetchControl::On,
                _ => DnsPrefetchControl::Off,
            }
        }
        "xDownloadOptions" => config.x_download_options = !off,
        "xFrameOptions" if off => config.x_frame_options = FrameOptions::Disabled,
        "xFrameOptions" => {
            config.x_frame_options = text("action").map_or(Ok(Default::default()), str::parse)?;
        }
        "xPermittedCrossDomainPolicies" if off => {
            config.x_permitted_cross_domain_policies = PermittedCrossDomainPolicies::Disabled;
        }
        "xPermittedCrossDomainPolicies" => {
            config.x_permitted_cross_domain_policies =
                text("permittedPolicies").map_or(Ok(Default::default()), str::parse)?;
        }
        "xPoweredBy" => config.remove_x_powered_by = !off,
        "xXssProtection" => config.x_xss_protection = !off,
        other => panic!("no settings for {other}"),
    }
    Ok(())
}

/// helmet looks for doubles as it goes, so an unknown one after a double does not matter: neither do we have such a case.
fn referrer_tokens(tokens: &[Value]) -> Result<Vec<ReferrerToken>, InvalidSecurityHeaders> {
    tokens.iter().map(|token| token.as_str().unwrap().parse()).collect()
}

fn transport(option: &Value) -> Result<StrictTransportSecurity, No> {
    let mut transport = StrictTransportSecurity { enabled: option != false, ..Default::default() };
    for (key, value) in option.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            // Whole seconds: a fraction is dropped, as helmet does.
            ("maxAge", Value::Number(age)) if age.as_f64().unwrap() >= 0.0 => {
                transport.max_age_seconds = age.to_string().split('.').next().unwrap().parse().unwrap();
            }
            ("includeSubDomains", _) => transport.include_sub_domains = value == true,
            ("preload", _) => transport.preload = value == true,
            _ => return Err(No::Unsayable),
        }
    }
    Ok(transport)
}

fn policy(option: &Value) -> Result<ContentSecurityPolicy, No> {
    let mut policy = ContentSecurityPolicy {
        use_defaults: option.get("useDefaults") != Some(&Value::Bool(false)),
        ..ContentSecurityPolicy::default()
    };
    for pair in option.get("directives").and_then(Value::as_array).into_iter().flatten() {
        let name = pair[0].as_str().unwrap();
        let value = match &pair[1] {
            Value::Null => DirectiveValue::Removed,
            Value::String(source) => DirectiveValue::Sources(vec![Source::text(source.clone())]),
            Value::Array(sources) => DirectiveValue::Sources(
                sources.iter().map(|source| Source::text(source.as_str().unwrap().to_owned())).collect(),
            ),
            Value::Object(_) if name == "defaultSrc" || name == "default-src" => {
                policy.dangerously_disable_default_src = true;
                continue;
            }
            _ => return Err(No::Unsayable),
        };
        policy.directives.0.push((Cow::Owned(name.to_owned()), value));
    }
    Ok(policy)
}
