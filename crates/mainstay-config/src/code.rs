//! The stable codes of the report.

/// What kind of mistake it is. The [crate's page](crate) has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Code {
    Unreadable,
    Syntax,
    Profile,
    Text,
    Type,
    Variant,
    Missing,
    UnknownKey,
    UnknownVariable,
    Twice,
    ScalarAndTable,
    Rule,
    Guard,
    Shadowed,
    ServiceLink,
}

impl Code {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Unreadable => "MC001",
            Self::Syntax => "MC002",
            Self::Profile => "MC003",
            Self::Text => "MC004",
            Self::Type => "MC005",
            Self::Variant => "MC006",
            Self::Missing => "MC007",
            Self::UnknownKey => "MC008",
            Self::UnknownVariable => "MC009",
            Self::Twice => "MC010",
            Self::ScalarAndTable => "MC011",
            Self::Rule => "MC012",
            Self::Guard => "MC013",
            Self::Shadowed => "MC014",
            Self::ServiceLink => "MC015",
        }
    }

    pub(crate) fn is_warning(self) -> bool {
        matches!(self, Self::Shadowed | Self::ServiceLink)
    }

    /// Whether behind this any value may be hidden, so that a missing one may be there after all.
    pub(crate) fn hides_values(self) -> bool {
        matches!(self, Self::Unreadable | Self::Syntax | Self::Profile)
    }
}
