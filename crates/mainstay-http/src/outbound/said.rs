//! What a body says about itself, kept so that it can be said again.

use http_body::{Body, SizeHint};

/// What a body said before a frame.
///
/// Who hands a frame over later says what its body said then, and not more: a length that is known only now would become a
/// `content-length`, under which HTTP/1.1 sends no trailers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) size_hint: SizeHint,
    pub(super) is_end_stream: bool,
}

impl Said {
    pub(super) fn by(body: &impl Body) -> Self {
        Self { size_hint: body.size_hint(), is_end_stream: body.is_end_stream() }
    }

    /// Of a body that has ended, whoever asks.
    pub(super) fn ended() -> Self {
        Self { size_hint: SizeHint::with_exact(0), is_end_stream: true }
    }

    /// Of a body about which nothing is known.
    pub(super) fn nothing() -> Self {
        Self { size_hint: SizeHint::new(), is_end_stream: false }
    }
}
