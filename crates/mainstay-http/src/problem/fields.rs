//! Which fields of a request were wrong, as RFC 9457 shows it in section 3.

use std::fmt::Write as _;

use http::StatusCode;
use serde::Serialize;

use super::Problem;

/// The most field errors that one problem lists: a hostile list of a million wrong items gets a short answer.
const MOST_ERRORS: usize = 100;

/// One field of a request and what is wrong with it.
///
/// ```
/// use http::StatusCode;
/// use mainstay_http::form::Form;
/// use mainstay_http::problem::{FieldError, Problem};
///
/// let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY)
///     .errors([FieldError::new(["lines", "0", "count"], "must be at least 1")]);
/// assert_eq!(
///     problem.to_response(Form::Http, None).body(),
///     r##"{"type":"about:blank","title":"Unprocessable Entity","status":422,"errors":[{"detail":"must be at least 1","pointer":"#/lines/0/count"}]}"##
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    detail: String,
    pointer: String,
}

impl FieldError {
    /// What is wrong with the field at this path through the request's JSON: names of members and numbers of items.
    pub fn new<S: AsRef<str>>(path: impl IntoIterator<Item = S>, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), pointer: pointer(path) }
    }

    /// The field, as a JSON pointer in a URI fragment (RFC 6901, section 6).
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What is wrong with it.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl Problem {
    /// Which fields were wrong: the member `errors`. At most 100 are listed.
    #[must_use]
    pub fn errors(self, errors: impl IntoIterator<Item = FieldError>) -> Self {
        let errors: Vec<_> = errors.into_iter().take(MOST_ERRORS).collect();
        self.with("errors", errors)
    }
}

/// 422, with one field error for each finding. garde knows the names of Rust's fields: where serde renames them, the
/// pointers do not.
///
/// ```
/// use garde::Validate;
/// use mainstay_http::problem::Problem;
///
/// #[derive(Validate)]
/// struct Order {
///     #[garde(range(min = 1))]
///     count: u32,
/// }
///
/// let report = Order { count: 0 }.validate().unwrap_err();
/// assert_eq!(Problem::from(&report).status(), 422);
/// ```
impl From<&garde::Report> for Problem {
    fn from(report: &garde::Report) -> Self {
        let errors = report.iter().map(|(path, error)| FieldError::new(segments(path), error.message()));
        let found = report.iter().count();
        let rules = if found == 1 { "rule" } else { "rules" };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY)
            .detail(format!("the request breaks {found} {rules}"))
            .errors(errors)
    }
}

impl From<garde::Report> for Problem {
    fn from(report: garde::Report) -> Self {
        Self::from(&report)
    }
}

/// garde shows a path's parts only through serde, as pairs of kind and text; its `Display` leaves room for doubt where a
/// key holds a dot.
fn segments(path: &garde::Path) -> Vec<String> {
    let parts: Vec<(String, String)> =
        serde_json::to_value(path).and_then(serde_json::from_value).unwrap_or_default();
    parts.into_iter().filter(|(kind, _)| kind != "none").map(|(_, text)| text).collect()
}

fn pointer<S: AsRef<str>>(path: impl IntoIterator<Item = S>) -> String {
    let mut pointer = "#".to_owned();
    for segment in path {
        pointer.push('/');
        for byte in segment.as_ref().bytes() {
            match byte {
                b'~' => pointer.push_str("~0"),
                b'/' => pointer.push_str("~1"),
                byte if is_plain_in_fragment(byte) => pointer.push(char::from(byte)),
                byte => write!(pointer, "%{byte:02X}").expect("writing to a string does not fail"),
            }
        }
    }
    pointer
}

/// RFC 3986, section 3.5: `pchar`, without the percent sign.
fn is_plain_in_fragment(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._!$&'()*+,;=:@?".contains(&byte)
}

#[cfg(test)]
mod tests {
    use garde::Validate;
    use http::StatusCode;

    use super::{FieldError, Problem};
    use crate::form::Form;

    #[derive(Validate)]
    struct Line {
        #[garde(range(min = 1))]
        count: u32,
    }

    #[derive(Validate)]
    struct Order {
        #[garde(length(min = 1))]
        customer: String,
        #[garde(dive)]
        lines: Vec<Line>,
    }

    fn body(problem: &Problem) -> serde_json::Value {
        serde_json::from_slice(problem.to_response(Form::Http, None).body()).unwrap()
    }

    #[test]
    fn a_report_names_each_field_by_its_pointer() {
        let order = Order { customer: String::new(), lines: vec![Line { count: 1 }, Line { count: 0 }] };
        let body = body(&order.validate().unwrap_err().into());
        assert_eq!(body["status"], 422);
        assert_eq!(body["detail"], "the request breaks 2 rules");
        assert_eq!(
            body["errors"],
            serde_json::json!([
                { "pointer": "#/customer", "detail": "length is lower than 1" },
                { "pointer": "#/lines/1/count", "detail": "lower than 1" },
            ])
        );
    }

    #[test]
    fn a_pointer_escapes_what_a_fragment_or_a_pointer_would_misread() {
        assert_eq!(FieldError::new(["a/b", "~", "%é\n"], "").pointer(), "#/a~1b/~0/%25%C3%A9%0A");
        assert_eq!(FieldError::new([""; 0], "").pointer(), "#");
    }

    #[test]
    fn a_hostile_list_gets_a_short_answer_and_a_handlers_instance_stays() {
        let order =
            Order { customer: "a".to_owned(), lines: (0..1_000).map(|_| Line { count: 0 }).collect() };
        let problem = Problem::from(order.validate().unwrap_err()).instance("/orders/7");
        assert_eq!(body(&problem)["errors"].as_array().unwrap().len(), 100);
        assert_eq!(body(&problem)["instance"], "/orders/7");
        assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
}
