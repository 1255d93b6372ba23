//! The rules as settings name them, and what makes them no rules.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::{self, Display, Formatter};

use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::rewrite::{Amend, Change, Rewrite, Step};

/// What happens to one header. A rule does one thing, except that trimming, lower-casing and either a new name or a default
/// go together; they apply in that order, to every line of the header.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HeaderRule {
    /// The header's name; case does not matter. Needed, and in one rule of a list only. Not a header that frames the message
    /// (`content-length`, `transfer-encoding`, `connection`, `upgrade`, `te`, `trailer`): those are the server's.
    pub header: String,
    /// Whether a request with this header is refused with 400. False by default; for requests only.
    #[serde(default)]
    pub deny: bool,
    /// Whether the header is taken away. False by default.
    #[serde(default)]
    pub remove: bool,
    /// The value that replaces whatever was there, and is put where nothing was. None by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Whether spaces and tabs around values are cut off. False by default.
    #[serde(default)]
    pub trim: bool,
    /// Whether ASCII letters in values become lower case. False by default.
    #[serde(default)]
    pub lower_case: bool,
    /// The name under which the values go on, behind those that came under that name. None by default. One header takes
    /// the values of one other; a rule for the new name may trim, lower-case or give a default to all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rename: Option<String>,
    /// The value where the header is missing. None by default. A header that is there and empty is not missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// A rule that cannot be followed, and which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRule {
    /// Its place in its list; the first is 1.
    pub position: usize,
    /// The header that it names.
    pub header: String,
    /// What is wrong with it.
    pub fault: RuleFault,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleFault {
    /// `header` or `rename` is no header's name.
    InvalidName(String),
    /// The value of this action holds a character that no header may hold.
    InvalidValue(&'static str),
    /// The header frames the message.
    Framing(HeaderName),
    /// No action is named.
    AsksForNothing,
    /// These two actions exclude each other.
    Contradiction(&'static str, &'static str),
    /// An answer cannot be refused.
    DeniesAnswer,
    /// The new name is the old one.
    OntoItself,
    /// The rule at this position is for the same header.
    SameHeader(usize),
    /// The rule at this position renames onto the same header.
    SameTarget(usize),
    /// The rule at this position removes, sets, denies or renames what this one renames onto.
    TargetRuledOut(usize),
}

/// Whose headers a list of rules is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

// === impl HeaderRule ===

impl HeaderRule {
    /// A rule for this header that asks for nothing yet: `HeaderRule { trim: true, ..HeaderRule::of("x-client") }`.
    pub fn of(header: impl Into<String>) -> Self {
        Self {
            header: header.into(),
            deny: false,
            remove: false,
            set: None,
            trim: false,
            lower_case: false,
            rename: None,
            default: None,
        }
    }

    fn step(&self, side: Side) -> Result<Step, RuleFault> {
        self.check_actions()?;
        let header = name(&self.header)?;
        let change = if self.deny {
            if side == Side::Response {
                return Err(RuleFault::DeniesAnswer);
            }
            Change::Deny
        } else if self.remove {
            Change::Remove
        } else if let Some(text) = &self.set {
            Change::Set(value("set", text)?)
        } else {
            let amend = Amend { trim: self.trim, lower_case: self.lower_case };
            if let Some(target) = &self.rename {
                let target = name(target)?;
                if target == header {
                    return Err(RuleFault::OntoItself);
                }
                Change::Rename(amend, target)
            } else {
                let default = self.default.as_deref().map(|text| value("default", text)).transpose()?;
                Change::Amend(amend, default)
            }
        };
        Ok(Step { header, change })
    }

    /// At least one action, and none that excludes another.
    fn check_actions(&self) -> Result<(), RuleFault> {
        let alone = [("deny", self.deny), ("remove", self.remove), ("set", self.set.is_some())];
        let together = [
            ("trim", self.trim),
            ("lower_case", self.lower_case),
            ("rename", self.rename.is_some()),
            ("default", self.default.is_some()),
        ];
        let asked = |actions: &[(&'static str, bool)]| {
            actions.iter().filter(|(_, asked)| *asked).map(|(action, _)| *action).collect::<Vec<_>>()
        };
        match (asked(&alone)[..].as_ref(), asked(&together)[..].as_ref()) {
            ([], []) => Err(RuleFault::AsksForNothing),
            ([first, second, ..], _) | ([first], [second, ..]) | ([], [.., first @ "rename", second]) => {
                Err(RuleFault::Contradiction(first, second))
            }
            _ => Ok(()),
        }
    }
}

fn name(text: &str) -> Result<HeaderName, RuleFault> {
    let name =
        HeaderName::from_bytes(text.as_bytes()).map_err(|_| RuleFault::InvalidName(text.to_owned()))?;
    if [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(&name) {
        return Err(RuleFault::Framing(name));
    }
    Ok(name)
}

fn value(action: &'static str, text: &str) -> Result<HeaderValue, RuleFault> {
    HeaderValue::from_str(text).map_err(|_| RuleFault::InvalidValue(action))
}

/// The rules in the order in which they are followed: refusals, new names, and then the rest, as a new name may have a rule
/// of its own.
pub(super) fn compile(rules: &[HeaderRule], side: Side) -> Result<Rewrite, InvalidRule> {
    let invalid =
        |at: usize, fault| InvalidRule { position: at + 1, header: rules[at].header.clone(), fault };
    let mut steps = Vec::with_capacity(rules.len());
    for (at, rule) in rules.iter().enumerate() {
        steps.push(rule.step(side).map_err(|fault| invalid(at, fault))?);
    }
    check_together(&steps).map_err(|(at, fault)| invalid(at, fault))?;
    steps.sort_by_key(|step| match step.change {
        Change::Deny => 0,
        Change::Rename(..) => 1,
        Change::Remove | Change::Set(_) | Change::Amend(..) => 2,
    });
    Ok(Rewrite::new(steps))
}

/// One rule for a header, one source for a new name, and nothing else that happens to what was renamed.
fn check_together(steps: &[Step]) -> Result<(), (usize, RuleFault)> {
    let mut ruled = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        if let Some(earlier) = ruled.insert(&step.header, at) {
            return Err((at, RuleFault::SameHeader(earlier + 1)));
        }
    }
    let mut targets = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        let Change::Rename(_, target) = &step.change else {
            continue;
        };
        if let Some(earlier) = targets.insert(target, at) {
            return Err((at, RuleFault::SameTarget(earlier + 1)));
        }
        if let Some(other) = ruled.get(target)
            && !matches!(steps[*other].change, Change::Amend(..))
        {
            return Err((at, RuleFault::TargetRuledOut(other + 1)));
        }
    }
    Ok(())
}

// === impl InvalidRule ===

impl Display for InvalidRule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} ({:?}): {}", self.position, self.header, self.fault)
    }
}

impl Error for InvalidRule {}

// === impl RuleFault ===

impl Display for RuleFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidName(name) => {
                write!(f, "{name:?} is no header's name: expected letters, digits and hyphens")
            }
            Self::InvalidValue(action) => write!(
                f,
                "the value of {action} holds a line break or another character that no header may hold"
            ),
            Self::Framing(name) => write!(f, "{name} frames the message, which is left to the server"),
            Self::AsksForNothing => f.write_str(
                "asks for nothing: expected deny, remove, set, trim, lower_case, rename or default",
            ),
            Self::Contradiction(first, second) => {
                write!(f, "{first} and {second} exclude each other: expected one of them")
            }
            Self::DeniesAnswer => f.write_str("an answer cannot be denied: expected remove"),
            Self::OntoItself => f.write_str("renamed onto itself: expected another name"),
            Self::SameHeader(other) => write!(f, "rule {other} is for the same header: expected one rule"),
            Self::SameTarget(other) => {
                write!(f, "rule {other} renames onto the same header: expected another name")
            }
            Self::TargetRuledOut(other) => write!(
                f,
                "rule {other} denies, removes, sets or renames the new name: expected it to keep the values"
            ),
        }
    }
}

impl Error for RuleFault {}
