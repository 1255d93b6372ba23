//! The probe's own error.

use std::{error::Error, fmt};

use mainstay_core::{Rejection, call::CallFailure};

/// The error that a [`Probe`](super::Probe) fails with unless another type is chosen; equal when the message is.
///
/// A client layer inside of which a probe stands can make its refusals out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeError {
    message: String,
    rejection: Option<Rejection>,
}

// === impl ProbeError ===

impl ProbeError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), rejection: None }
    }
}

impl From<Rejection> for ProbeError {
    fn from(rejection: Rejection) -> Self {
        Self { message: rejection.to_string(), rejection: Some(rejection) }
    }
}

impl CallFailure for ProbeError {
    fn rejection(&self) -> Option<&Rejection> {
        self.rejection.as_ref()
    }

    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ProbeError {}
