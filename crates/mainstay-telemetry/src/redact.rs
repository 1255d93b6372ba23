//! Which fields are not to be seen.

/// What stands in the place of a value.
pub(crate) const REDACTED: &str = "[redacted]";

/// Names of fields whose values are hidden, whatever their case and the modules before their last dot.
#[derive(Clone)]
pub(crate) struct Redact {
    names: Vec<String>,
    // Bit n: a name is n bytes long. Nearly every field is found to be none of them by that.
    lengths: u64,
}

impl Redact {
    pub(crate) fn new(names: &[String]) -> Self {
        let lengths = names.iter().fold(0, |lengths, name| lengths | bit(name.len()));
        Self { names: names.to_vec(), lengths }
    }

    pub(crate) fn hides(&self, field: &str) -> bool {
        let last = field.rsplit_once('.').map_or(field, |(_, last)| last);
        [field, last].into_iter().any(|field| {
            self.lengths & bit(field.len()) != 0
                && self.names.iter().any(|name| name.eq_ignore_ascii_case(field))
        })
    }
}

/// Names of 63 bytes and more share one.
fn bit(length: usize) -> u64 {
    1 << length.min(63)
}

#[cfg(test)]
mod tests {
    use super::Redact;

    #[test]
    fn a_field_is_hidden_by_its_whole_name_or_by_its_last_word_in_any_case() {
        let long = "x".repeat(70);
        let redact = Redact::new(&["password".to_owned(), "card.number".to_owned(), long.clone()]);
        for hidden in ["password", "PassWord", "db.password", "card.number", &long] {
            assert!(redact.hides(hidden), "{hidden}");
        }
        for shown in ["passwords", "password.length", "number", "", &"y".repeat(70)] {
            assert!(!redact.hides(shown), "{shown}");
        }
        assert!(!Redact::new(&[]).hides("password"));
    }
}
