//! Everything that is wrong with a request, field by field, in one answer.

use std::fmt::Display;
use std::str::FromStr;

use http::StatusCode;
use mainstay::Problem;
use serde::Serialize;

/// The fields that are wrong so far.
#[derive(Debug, Default)]
pub(crate) struct FieldErrors(Vec<FieldError>);

#[derive(Debug, PartialEq, Serialize)]
struct FieldError {
    field: String,
    message: String,
}

impl FieldErrors {
    pub(crate) fn one(field: impl Into<String>, message: impl Display) -> Self {
        let mut errors = Self::default();
        errors.push(field, message);
        errors
    }

    pub(crate) fn push(&mut self, field: impl Into<String>, message: impl Display) {
        self.0.push(FieldError { field: field.into(), message: message.to_string() });
    }

    /// Keeps the value, or notes what is wrong with it.
    pub(crate) fn check<T, E: Display>(
        &mut self,
        field: impl Into<String>,
        value: Result<T, E>,
    ) -> Option<T> {
        value.map_err(|error| self.push(field, error)).ok()
    }

    /// Parses the text, or notes what is wrong with it.
    pub(crate) fn parse<T: FromStr<Err: Display>>(
        &mut self,
        field: impl Into<String>,
        text: &str,
    ) -> Option<T> {
        self.check(field, text.parse())
    }

    /// Parses a text that may be absent.
    pub(crate) fn parse_optional<T: FromStr<Err: Display>>(
        &mut self,
        field: &str,
        text: Option<&str>,
    ) -> Option<T> {
        text.and_then(|text| self.parse(field, text))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A body whose JSON is right and whose content is not.
    pub(crate) fn unprocessable(&self) -> Problem {
        self.problem(StatusCode::UNPROCESSABLE_ENTITY)
    }

    /// A request line or header that is not right.
    pub(crate) fn bad_request(&self) -> Problem {
        self.problem(StatusCode::BAD_REQUEST)
    }

    fn problem(&self, status: StatusCode) -> Problem {
        let fields: Vec<_> = self.0.iter().map(|error| error.field.as_str()).collect();
        Problem::new(status)
            .kind("/problems/invalid-request")
            .title("invalid request")
            .detail(format!("wrong: {}", fields.join(", ")))
            .with("errors", &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_is_noted() {
        let mut errors = FieldErrors::default();

        assert_eq!(errors.parse::<u8>("one", "1"), Some(1));
        assert!(errors.is_empty());
        assert_eq!(errors.parse::<u8>("two", "x"), None);
        assert_eq!(errors.parse_optional::<u8>("three", Some("300")), None);
        assert_eq!(errors.parse_optional::<u8>("four", None), None);

        let fields: Vec<_> = errors.0.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["two", "three"]);
    }
}
