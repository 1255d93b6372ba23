//! The probe's own error.

use std::{error::Error, fmt};

/// The error that a [`Probe`](super::Probe) fails with unless another type is chosen; equal when the message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeError {
    message: String,
}

// === impl ProbeError ===

impl ProbeError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ProbeError {}
