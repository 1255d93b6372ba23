//! The instant at which a guard ends a call: its own limit and the context's deadline, both of which can move.

use std::time::Instant;

use mainstay_core::{Deadline, RequestContext};

use super::plan::Limits;

/// Whatever comes first, asked anew each time, because a handler may have moved it.
#[derive(Clone, Debug)]
pub(super) struct Until {
    own: Option<Own>,
    pub(super) context: Option<RequestContext>,
}

#[derive(Clone, Copy, Debug)]
struct Own {
    limit: Deadline,
    latest: Deadline,
}

// === impl Until ===

impl Until {
    pub(super) fn new(own: Option<&Limits>, context: Option<RequestContext>, now: Instant) -> Self {
        let own = own.map(|limits| Own {
            limit: Deadline::after(now, limits.default),
            latest: Deadline::after(now, limits.maximum),
        });
        Self { own, context }
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        let context = self.context.as_ref();
        let own = self.own.map(|own| {
            let extended = context.and_then(RequestContext::extended_deadline);
            extended.map_or(own.limit, |extended| extended.earliest(own.latest).max(own.limit))
        });
        own.into_iter().chain(context.and_then(RequestContext::deadline)).reduce(Deadline::earliest)
    }
}
