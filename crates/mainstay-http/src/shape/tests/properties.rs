//! What holds of any rules and any headers.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::Empty;
use proptest::prelude::*;

use super::super::plan::Plan;
use super::super::{HeaderRule, ShapeConfig, Underscores};
use crate::form::Form;

/// Names of which some are in rules, some in `connection`, and some in neither.
const NAMES: [&str; 8] = ["a", "b", "c", "x_d", "accept", "connection", "upgrade", "te"];

proptest! {
    #[test]
    fn shaping_twice_is_shaping_once(config in config(), lines in lines()) {
        let plan = plan(&config)?;
        if let Some(once) = shape(&plan, map(&lines)) {
            prop_assert_eq!(shape(&plan, once.clone()), Some(once));
        }
    }

    #[test]
    fn what_no_rule_names_keeps_its_lines_their_order_and_their_marks(config in config(), lines in lines()) {
        let config = ShapeConfig { hygiene: false, underscores: Underscores::Keep, ..config };
        let plan = plan(&config)?;
        let before = map(&lines);
        let Some(after) = shape(&plan, before.clone()) else {
            return Ok(());
        };
        let ruled = |name: &str| config.request_headers.iter().any(|rule| rule.header == name || rule.rename.as_deref() == Some(name));
        for name in NAMES.into_iter().filter(|name| !ruled(name)) {
            prop_assert_eq!(listed(&before, name), listed(&after, name));
        }
        for (name, _) in &after {
            prop_assert!(NAMES.contains(&name.as_str()), "{} came from nowhere", name);
        }
    }

    #[test]
    fn rules_do_what_they_say_line_by_line(config in config(), lines in lines()) {
        let config = ShapeConfig { hygiene: false, underscores: Underscores::Keep, ..config };
        let plan = plan(&config)?;
        let expected = model(&config.request_headers, &lines);
        let shaped = shape(&plan, map(&lines));
        prop_assert_eq!(shaped.is_some(), expected.is_some());
        if let (Some(shaped), Some(expected)) = (shaped, expected) {
            for name in NAMES {
                let expected: Vec<_> = expected.iter().filter(|line| line.0 == name).map(|line| (line.1.clone(), line.2)).collect();
                prop_assert_eq!(listed(&shaped, name), expected, "{}", name);
            }
        }
    }
}

type Line = (&'static str, Vec<u8>, bool);

/// The rules as plainly as they can be followed: over and over through a list.
fn model(rules: &[HeaderRule], lines: &[Line]) -> Option<Vec<Line>> {
    let mut lines = lines.to_vec();
    let amended = |rule: &HeaderRule, mut text: Vec<u8>| {
        if rule.trim {
            let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
            let end = text.iter().rposition(|byte| !blank(byte)).map_or(0, |at| at + 1);
            text.truncate(end);
            text = text.into_iter().skip_while(blank).collect();
        }
        if rule.lower_case {
            text.make_ascii_lowercase();
        }
        text
    };
    let is = |rule: &HeaderRule, line: &Line| line.0 == rule.header;
    if rules.iter().any(|rule| rule.deny && lines.iter().any(|line| is(rule, line))) {
        return None;
    }
    for rule in rules {
        if let Some(target) = &rule.rename {
            let target = NAMES.into_iter().find(|name| name == target).unwrap();
            let (moved, kept): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| is(rule, line));
            lines = kept;
            lines.extend(moved.into_iter().map(|(_, text, mark)| (target, amended(rule, text), mark)));
        }
    }
    for rule in rules.iter().filter(|rule| rule.rename.is_none()) {
        let name = NAMES.into_iter().find(|name| *name == rule.header).unwrap();
        if rule.remove || rule.set.is_some() {
            lines.retain(|line| !is(rule, line));
        }
        for line in lines.iter_mut().filter(|line| is(rule, line)) {
            line.1 = amended(rule, line.1.clone());
        }
        let added = rule.set.as_ref().or(rule.default.as_ref());
        if let Some(value) = added
            && !lines.iter().any(|line| is(rule, line))
        {
            lines.push((name, value.clone().into_bytes(), false));
        }
    }
    Some(lines)
}

fn plan(config: &ShapeConfig) -> Result<Plan, TestCaseError> {
    // Rules that contradict each other are another test's.
    Plan::new(config).map_err(|error| TestCaseError::reject(error.to_string()))
}

fn shape(plan: &Plan, headers: HeaderMap) -> Option<HeaderMap> {
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.headers_mut() = headers;
    plan.shape(&mut request, Form::Http).ok().map(|()| request.headers().clone())
}

fn map(lines: &[Line]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, text, mark) in lines {
        let mut value = HeaderValue::from_bytes(text).unwrap();
        value.set_sensitive(*mark);
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

fn listed(headers: &HeaderMap, name: &str) -> Vec<(Vec<u8>, bool)> {
    headers.get_all(name).iter().map(|value| (value.as_bytes().to_vec(), value.is_sensitive())).collect()
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let text = prop_oneof![
        prop::sample::select(vec!["upgrade", "close, a", "trailers, b", "B,c , Upgrade", "websocket"])
            .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(
            prop_oneof![Just(b' '), Just(b'\t'), Just(b'A'), Just(b'z'), 0x80..=0xff_u8],
            0..6
        ),
    ];
    prop::collection::vec((prop::sample::select(NAMES.to_vec()), text, any::<bool>()), 0..12)
}

fn config() -> impl Strategy<Value = ShapeConfig> {
    let names = prop::sample::subsequence(NAMES[..5].to_vec(), 0..=5);
    let action = (0..6, any::<bool>(), any::<bool>(), prop::sample::select(NAMES[..5].to_vec()));
    let underscores = prop::sample::select(vec![Underscores::Keep, Underscores::Remove, Underscores::Refuse]);
    (names, prop::collection::vec(action, 5), any::<bool>(), underscores).prop_map(
        |(names, actions, hygiene, underscores)| {
            let rules =
                names.into_iter().zip(actions).filter_map(|(name, (action, trim, lower_case, target))| {
                    let rule = HeaderRule::of(name);
                    let amend = HeaderRule { trim, lower_case, ..rule.clone() };
                    Some(match action {
                        0 => HeaderRule { deny: true, ..rule },
                        1 => HeaderRule { remove: true, ..rule },
                        2 => HeaderRule { set: Some("Set ".to_owned()), ..rule },
                        3 if target != name => HeaderRule { rename: Some(target.to_owned()), ..amend },
                        4 => HeaderRule { default: Some("default".to_owned()), ..amend },
                        _ if trim || lower_case => amend,
                        _ => return None,
                    })
                });
            ShapeConfig { request_headers: rules.collect(), hygiene, underscores, ..ShapeConfig::default() }
        },
    )
}
