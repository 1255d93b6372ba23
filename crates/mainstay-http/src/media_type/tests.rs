//! What must hold of media types.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::{MediaRange, MediaType, accepts};

fn includes(range: &str, stated: &str) -> bool {
    let range = MediaRange::parse(range).unwrap();
    MediaType::parse(stated.as_bytes()).is_some_and(|stated| range.includes(&stated))
}

fn takes(accept: &[&str], made: &[&str]) -> bool {
    let made: Vec<_> = made.iter().map(|text| MediaRange::parse(text).unwrap()).collect();
    let mut headers = HeaderMap::new();
    for line in accept {
        headers.append(ACCEPT, HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    accepts(&headers, &made)
}

#[test]
fn a_type_is_compared_without_regard_to_case_or_to_parameters_that_nobody_asked_for() {
    for stated in
        ["application/json", "Application/JSON; charset=utf-8", " application/json ;;a=\"b;\\\"c\" ; "]
    {
        assert!(includes("application/json", stated), "{stated}");
        assert!(includes("application/*", stated), "{stated}");
        assert!(includes("*/*", stated), "{stated}");
        assert!(!includes("text/*", stated), "{stated}");
        assert!(!includes("application/jsonp", stated), "{stated}");
    }
}

#[test]
fn a_suffix_includes_the_types_that_end_with_it_and_not_the_bare_one() {
    assert!(includes("application/*+json", "application/problem+JSON"));
    assert!(includes("*/*+json", "model/gltf+json"));
    for stated in ["application/json", "application/+json", "text/x+json", "application/x+jsons"] {
        assert!(!includes("application/*+json", stated), "{stated}");
    }
}

#[test]
fn a_parameter_that_is_asked_for_must_be_there_quoted_or_not() {
    let asked = "text/plain; Charset=UTF-8";
    for stated in ["text/plain;charset=utf-8", "text/plain; a=b; CHARSET=\"utf\\-8\""] {
        assert!(includes(asked, stated), "{stated}");
    }
    for stated in
        ["text/plain", "text/plain;charset=utf-16", "text/plain;charset=utf-88", "text/plain;charset=utf"]
    {
        assert!(!includes(asked, stated), "{stated}");
    }
}

#[test]
fn what_is_malformed_or_a_range_is_no_content_type() {
    for stated in [
        "",
        "/",
        "text",
        "text/",
        "/plain",
        "text/plain/x",
        "text /plain",
        "text/plain charset=utf-8",
        "text/plain; charset",
        "text/plain; charset=",
        "text/plain; charset=\"utf-8",
        "text/plain; =utf-8",
        "text/plain, text/html",
        "text/pläin",
        "*/*",
        "text/*",
        "application/*+json",
    ] {
        assert!(!includes("*/*", stated), "{stated}");
    }
}

#[test]
fn settings_that_are_no_range_are_refused() {
    for text in
        ["", "json", "*/json", "*+json/x", "text/pl*in", "text/*+", "text/**", "text/a, text/b", "text/a;b"]
    {
        assert_eq!(MediaRange::parse(text), None, "{text}");
    }
    assert!(MediaRange::parse("text/html;level=1").unwrap().is_concrete());
    for range in ["*/*", "text/*", "text/*+xml", "*/*+json"] {
        assert!(!MediaRange::parse(range).unwrap().is_concrete(), "{range}");
    }
}

#[test]
fn the_most_specific_range_decides_wherever_it_stands() {
    let json = ["application/json"];
    for accept in [
        "application/json",
        "application/*",
        "*/*",
        "text/html, APPLICATION/json;q=0.001",
        "*/*;q=0.1",
        "application/*;q=0, application/json",
        "application/json;q=1.000;ext=1, */*;q=0",
        "application/json; charset=utf-8",
        "text/html;a=\",\", application/json",
    ] {
        assert!(takes(&[accept], &json), "{accept}");
    }
    for accept in [
        "text/html",
        "application/json;q=0",
        "application/json;q=0.000, */*",
        "application/*;q=0, */*",
        "*/*;q=0",
        "application/json;v=2",
        "text/html;a=\", application/json\"",
        "application/*+json",
    ] {
        assert!(!takes(&[accept], &json), "{accept}");
    }
    assert!(takes(&["text/html;level=1"], &["text/html;level=1"]));
    assert!(!takes(&["text/html, text/html;level=1;q=0"], &["text/html;level=1"]));
    assert!(takes(&["text/html;level=2;q=0, text/html"], &["text/html;level=1"]));
    assert!(takes(&["text/html", "application/json"], &json), "several lines are one list");
    assert!(takes(&["text/html"], &["application/json", "text/html"]), "one type that is taken is enough");
}

#[test]
fn an_accept_that_says_nothing_takes_everything_and_a_malformed_range_is_passed_over() {
    for accept in ["", ",", " , ,", "nonsense", "application/json;q=2", "*/json/x"] {
        assert!(takes(&[accept], &["text/html"]), "{accept}");
    }
    assert!(takes(&[], &["text/html"]));
    for malformed in ["q=0.5", "*/*;q=1.001", "*/*;q=0.1234", "*/*;q=", "*/*;q=-1", "*/*;q=.5", "*/*;q=\"1\""]
    {
        assert!(!takes(&[malformed, "image/png"], &["text/html"]), "{malformed}");
    }
}

proptest! {
    #[test]
    fn no_line_makes_it_panic(line in prop::collection::vec(any::<u8>(), 0..64), made in "[a-c]/[a-c]") {
        let made = [MediaRange::parse(&made).unwrap()];
        if let Ok(value) = HeaderValue::from_bytes(&line) {
            accepts(&HeaderMap::from_iter([(ACCEPT, value)]), &made);
        }
        if let Some(stated) = MediaType::parse(&line) {
            made[0].includes(&stated);
        }
    }

    #[test]
    fn a_type_is_included_in_every_range_around_it(kind in "[a-zA-Z0-9.-]{1,8}", sub in "[a-zA-Z0-9.-]{1,8}", suffix in "[a-z]{1,4}") {
        let stated = format!("{kind}/{sub}+{suffix}; charset=utf-8");
        for range in [format!("{kind}/{sub}+{suffix}"), format!("{kind}/*+{suffix}"), format!("{kind}/*"), "*/*".to_owned()] {
            prop_assert!(includes(&range, &stated));
        }
    }

    #[test]
    fn weights_are_read_as_thousandths(thousandths in 0_u16..=1_000, digits in 0_usize..=3) {
        let text = format!("{:.digits$}", f64::from(thousandths) / 1_000.0);
        let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        let accept = format!("text/html;q={text}");
        prop_assert_eq!(takes(&[&accept], &["text/html"]), !is_zero);
    }
}
