//! The one value that a call carries from the edge to the log line, the outbound call and, later, the message.

mod extension;

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::fields::Fields;
use crate::{
    CorrelationId, Deadline, FieldValue, Host, Outcome, RefusedId, RequestId, Scheme, TenantId, TraceContext,
    Trust,
};
use extension::Extension;

/// Everything that was decided about a call when it came in.
///
/// One request has one of these, in its extensions, put there by the layer at the edge. It is one `Arc`: a clone is one
/// atomic increment, making it is one allocation. Everything in it is decided once and never changes, but for two things:
/// the tenant, which is found out later than the rest, [is set once](Self::set_tenant), and the deadline
/// [can be moved](Self::extend_deadline) as far as the edge allows.
///
/// It knows no protocol, so a message, a saga step and an audit row can carry the same.
#[derive(Clone, Debug)]
pub struct RequestContext {
    shared: Arc<Shared>,
}

/// What a [`RequestContext`] is made of; [`Parts::new`] fills in what an edge that knows nothing more would say.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The id of this request; hops that trust each other keep it.
    pub request_id: RequestId,
    /// What the caller would have had as the request's id, for the log.
    pub refused_request_id: Option<RefusedId>,
    /// The id of the whole chain of calls.
    pub correlation_id: CorrelationId,
    /// The call's place in its trace.
    pub trace: TraceContext,
    /// Where the call came from, as far as the edge could tell.
    pub client_address: Option<IpAddr>,
    /// What the client spoke to us or to our outermost proxy.
    pub scheme: Option<Scheme>,
    /// The host that the client asked for.
    pub host: Option<Host>,
    /// Whether the peer is one of ours.
    pub trust: Trust,
    /// When the call came in, on the monotonic clock.
    pub received_at: Instant,
    /// When the caller stops waiting.
    pub deadline: Option<Deadline>,
    /// How far the deadline [may be moved](RequestContext::extend_deadline); `None`: not at all.
    pub latest_deadline: Option<Deadline>,
    /// Whether the caller says that it sends this call again, so that what is called for it is not multiplied.
    pub is_repetition: bool,
}

/// The tenant of this call was already decided to be another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantConflict {
    /// The tenant that the call has.
    pub decided: TenantId,
    /// The tenant that was refused.
    pub refused: TenantId,
}

#[derive(Debug)]
struct Shared {
    parts: Parts,
    tenant: OnceLock<TenantId>,
    noted: OnceLock<Outcome>,
    extension: Extension,
    received: OnceLock<AtomicU64>,
    fields: Fields,
}

// === impl RequestContext ===

impl RequestContext {
    /// Seals the parts. One allocation.
    pub fn new(parts: Parts) -> Self {
        Self::sealed(parts, OnceLock::new())
    }

    /// A context for something that this call sets off: an attempt with a span of its own, a part with a shorter deadline,
    /// a message. Starts from this one's parts and its tenant, and is apart from it from then on. One allocation.
    ///
    /// ```
    /// # use std::time::{Duration, Instant};
    /// # use mainstay_core::{Deadline, Parts, RequestContext, RequestId, TraceContext};
    /// # let now = Instant::now();
    /// # let trace = TraceContext::root([1; 16], [2; 8]);
    /// # let context = RequestContext::new(Parts::new(RequestId::v7(1_000, [0; 10]), trace, now));
    /// let part = context.derive(|parts| parts.deadline = Some(Deadline::after(now, Duration::from_secs(1))));
    /// assert_eq!(part.request_id(), context.request_id());
    /// assert!(part.deadline().is_some() && context.deadline().is_none());
    /// ```
    #[must_use]
    pub fn derive(&self, change: impl FnOnce(&mut Parts)) -> Self {
        let mut parts = self.shared.parts.clone();
        parts.deadline = self.deadline();
        change(&mut parts);
        Self::sealed(parts, self.shared.tenant.clone())
    }

    fn sealed(parts: Parts, tenant: OnceLock<TenantId>) -> Self {
        Self {
            shared: Arc::new(Shared {
                parts,
                tenant,
                noted: OnceLock::new(),
                received: OnceLock::new(),
                extension: Extension::default(),
                fields: Fields::default(),
            }),
        }
    }

    /// The id of this request; hops that trust each other keep it.
    pub fn request_id(&self) -> &RequestId {
        &self.shared.parts.request_id
    }

    /// The id that the caller sent and that was not adopted, escaped for the log. It decides nothing.
    pub fn refused_request_id(&self) -> Option<&RefusedId> {
        self.shared.parts.refused_request_id.as_ref()
    }

    /// The id of the whole chain of calls.
    pub fn correlation_id(&self) -> &CorrelationId {
        &self.shared.parts.correlation_id
    }

    /// The call's place in its trace.
    pub fn trace(&self) -> &TraceContext {
        &self.shared.parts.trace
    }

    /// The client's address, or `None` where there is none (a Unix socket, a test, a message).
    pub fn client_address(&self) -> Option<IpAddr> {
        self.shared.parts.client_address
    }

    /// The scheme that the client spoke.
    pub fn scheme(&self) -> Option<Scheme> {
        self.shared.parts.scheme
    }

    /// The host that the client asked for, in lower case and without a port: `acme.example.org`, `[2001:db8::1]`.
    ///
    /// Its own word, as far as the edge could tell: a proxy's name for us does not count where a trusted proxy says what
    /// the client wrote. That such a host is served here is for the reader to decide.
    pub fn host(&self) -> Option<&str> {
        self.shared.parts.host.as_ref().map(Host::as_str)
    }

    /// Whether the peer is one of ours.
    pub fn trust(&self) -> Trust {
        self.shared.parts.trust
    }

    /// Whether the caller says that it sends this call again: then calls that are made for it are sent once and not repeated.
    pub fn is_repetition(&self) -> bool {
        self.shared.parts.is_repetition
    }

    /// When the call came in, on the monotonic clock.
    pub fn received_at(&self) -> Instant {
        self.shared.parts.received_at
    }

    /// When the caller stops waiting, or `None` if it waits for ever.
    ///
    /// It can [move](Self::extend_deadline), and only away: who waits for it asks again when it is there.
    pub fn deadline(&self) -> Option<Deadline> {
        let decided = self.shared.parts.deadline?;
        Some(self.extended_deadline().map_or(decided, |extended| extended.max(decided)))
    }

    /// Asks for more time, for every holder of this context: who guards the call, and what is called next.
    ///
    /// It is granted up to [`Parts::latest_deadline`], and a deadline is never made sooner. Returns the deadline that
    /// now counts, or `None` where the context has none.
    ///
    /// ```
    /// # use std::time::{Duration, Instant};
    /// # use mainstay_core::{Deadline, Parts, RequestContext, RequestId, TraceContext};
    /// # let now = Instant::now();
    /// # let trace = TraceContext::root([1; 16], [2; 8]);
    /// let context = RequestContext::new(Parts {
    ///     deadline: Some(Deadline::after(now, Duration::from_secs(10))),
    ///     latest_deadline: Some(Deadline::after(now, Duration::from_secs(60))),
    ///     ..Parts::new(RequestId::v7(1_000, [0; 10]), trace, now)
    /// });
    /// let granted = context.extend_deadline(now + Duration::from_secs(90));
    /// assert_eq!(granted, Some(Deadline::after(now, Duration::from_secs(60))));
    /// assert_eq!(context.deadline(), granted);
    /// ```
    pub fn extend_deadline(&self, to: Instant) -> Option<Deadline> {
        let Parts { deadline, latest_deadline, received_at, .. } = &self.shared.parts;
        let to = Deadline::at(to);
        // A context without a deadline does not limit; a guard with a limit of its own has its own maximum.
        let granted = deadline.map_or(to, |deadline| to.earliest(latest_deadline.unwrap_or(deadline)));
        self.shared.extension.raise(*received_at, granted);
        self.deadline()
    }

    /// How far the deadline was moved so far, or `None` if nobody asked. A guard that has a limit of its own reads it.
    pub fn extended_deadline(&self) -> Option<Deadline> {
        self.shared.extension.granted(self.shared.parts.received_at)
    }

    /// Whose call it is, once that is decided.
    pub fn tenant(&self) -> Option<&TenantId> {
        self.shared.tenant.get()
    }

    /// Notes how the call ended, where nothing else can tell those further out, the log and the metrics: a panic or a
    /// deadline after the answer had begun. The first note stays.
    pub fn note_outcome(&self, outcome: Outcome) {
        self.shared.noted.get_or_init(|| outcome);
    }

    /// The outcome that was [noted](Self::note_outcome).
    pub fn noted_outcome(&self) -> Option<Outcome> {
        self.shared.noted.get().copied()
    }

    /// Counts so many more bytes of the call's own content, for HTTP of the request's body, as taken.
    pub fn count_received(&self, bytes: u64) {
        // Nothing else is published with it: whoever reads it reads it when the call has ended.
        self.shared.received.get_or_init(AtomicU64::default).fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many bytes of the call's content were taken, or `None` if nobody counts.
    pub fn received(&self) -> Option<u64> {
        self.shared.received.get().map(|received| received.load(Ordering::Relaxed))
    }

    /// Adds a field to the call's one log line; a name that was added before gets the new value.
    ///
    /// ```
    /// # use mainstay_core::{Parts, RequestContext, RequestId, TraceContext};
    /// # let (trace, now) = (TraceContext::root([1; 16], [2; 8]), std::time::Instant::now());
    /// # let context = RequestContext::new(Parts::new(RequestId::v7(1_000, [0; 10]), trace, now));
    /// context.add_field("order.items", 3);
    /// context.add_field("order.warehouse", "north");
    /// ```
    ///
    /// False if the call has 32 fields already: the field is left out. The first field allocates, as a text of one's own does.
    pub fn add_field(&self, name: &'static str, value: impl Into<FieldValue>) -> bool {
        self.shared.fields.add(name, value.into())
    }

    /// Reads the fields that were added, in their order.
    ///
    /// They are locked meanwhile: do not add one in there.
    pub fn read_fields<T>(&self, read: impl FnOnce(&[(&'static str, FieldValue)]) -> T) -> T {
        self.shared.fields.read(read)
    }

    /// Decides whose call it is, for every holder of this context.
    ///
    /// Setting the same tenant again changes nothing.
    ///
    /// # Errors
    ///
    /// Another tenant was decided before; that one stays.
    pub fn set_tenant(&self, tenant: TenantId) -> Result<(), TenantConflict> {
        let decided = self.shared.tenant.get_or_init(|| tenant.clone());
        if *decided == tenant {
            Ok(())
        } else {
            Err(TenantConflict { decided: decided.clone(), refused: tenant })
        }
    }
}

// === impl Parts ===

impl Parts {
    /// A call about which nothing more is known: it begins its own chain, nobody is trusted, and it has no deadline.
    pub fn new(request_id: RequestId, trace: TraceContext, received_at: Instant) -> Self {
        Self {
            request_id,
            refused_request_id: None,
            correlation_id: CorrelationId::from(request_id),
            trace,
            client_address: None,
            scheme: None,
            host: None,
            trust: Trust::Untrusted,
            received_at,
            deadline: None,
            latest_deadline: None,
            is_repetition: false,
        }
    }
}

// === how they print ===

impl Display for TenantConflict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "the call belongs to tenant {}, not to {}", self.decided, self.refused)
    }
}

impl Error for TenantConflict {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::{Parts, RequestContext, TenantConflict};
    use crate::{Deadline, Outcome, Phase, RequestId, TenantId, TraceContext, Trust};

    fn parts() -> Parts {
        let trace = TraceContext::root([1; 16], [1; 8]);
        Parts::new(RequestId::v7(1_000, [1; 10]), trace, Instant::now().into_std())
    }

    fn context() -> RequestContext {
        RequestContext::new(parts())
    }

    #[test]
    fn the_tenant_is_decided_once_and_every_holder_sees_it() {
        let (context, acme) = (context(), TenantId::parse("acme").unwrap());
        let held_elsewhere = context.clone();
        assert_eq!(held_elsewhere.tenant(), None);

        context.set_tenant(acme.clone()).unwrap();
        context.set_tenant(acme.clone()).unwrap();
        assert_eq!(held_elsewhere.tenant(), Some(&acme));

        let globex = TenantId::parse("globex").unwrap();
        let conflict = held_elsewhere.set_tenant(globex.clone()).unwrap_err();
        assert_eq!(conflict, TenantConflict { decided: acme.clone(), refused: globex });
        assert_eq!(conflict.to_string(), "the call belongs to tenant acme, not to globex");
        assert_eq!(context.tenant(), Some(&acme));
    }

    #[test]
    fn what_is_derived_keeps_the_tenant_and_is_apart_from_then_on() {
        let (context, acme) = (context(), TenantId::parse("acme").unwrap());
        let before = context.derive(|_| ());
        context.set_tenant(acme.clone()).unwrap();
        let after = context.derive(|parts| parts.trust = Trust::Trusted);
        assert_eq!((before.tenant(), after.tenant()), (None, Some(&acme)));
        assert!(after.trust().is_trusted() && !context.trust().is_trusted());
        after.note_outcome(Outcome::Panicked(Phase::Stream));
        after.note_outcome(Outcome::Complete);
        assert_eq!(after.noted_outcome(), Some(Outcome::Panicked(Phase::Stream)));
        assert_eq!(context.noted_outcome(), None);
    }

    #[test]
    fn a_derived_context_begins_with_the_moved_deadline_and_is_moved_alone() {
        let parts = parts();
        let after = |secs| Some(Deadline::after(parts.received_at, Duration::from_secs(secs)));
        let context =
            RequestContext::new(Parts { deadline: after(1), latest_deadline: after(9), ..parts.clone() });
        context.extend_deadline(parts.received_at + Duration::from_secs(2));
        let derived = context.derive(|_| ());
        assert_eq!(derived.deadline(), after(2));
        derived.extend_deadline(parts.received_at + Duration::from_secs(3));
        assert_eq!((context.deadline(), derived.deadline()), (after(2), after(3)));
    }

    #[test]
    fn threads_that_ask_at_once_get_the_furthest_of_what_they_asked() {
        let parts = parts();
        let after = |secs| Some(Deadline::after(parts.received_at, Duration::from_secs(secs)));
        let context =
            RequestContext::new(Parts { deadline: after(1), latest_deadline: after(99), ..parts.clone() });
        std::thread::scope(|scope| {
            for secs in 2..=9 {
                let context = &context;
                scope.spawn(move || {
                    context.extend_deadline(context.received_at() + Duration::from_secs(secs))
                });
            }
        });
        assert_eq!(context.deadline(), after(9));
    }

    proptest! {
        /// The model: the furthest of what was asked, cut at the latest, and never sooner than what was decided.
        #[test]
        fn the_deadline_moves_away_up_to_the_latest_and_never_back(
            decided in prop::option::of(0_u64..1_000),
            latest in prop::option::of(0_u64..1_000),
            asked in prop::collection::vec(0_u64..2_000, 0..8),
        ) {
            let parts = parts();
            let start = parts.received_at;
            let after = |millis| Deadline::after(start, Duration::from_millis(millis));
            let context = RequestContext::new(Parts {
                deadline: decided.map(after), latest_deadline: latest.map(after), ..parts
            });
            let (mut model, holder) = (decided, context.clone());
            for asked in asked {
                model = model.map(|now| now.max(asked.min(latest.unwrap_or(0))));
                let counts = context.extend_deadline(start + Duration::from_millis(asked));
                prop_assert_eq!(counts, model.map(after));
                prop_assert_eq!(holder.deadline(), counts);
            }
        }
    }

    #[test]
    fn it_travels_in_the_extensions_of_a_request_across_threads() {
        let mut extensions = http::Extensions::new();
        extensions.insert(context());
        let id = std::thread::spawn(move || extensions.get::<RequestContext>().map(|c| *c.request_id()))
            .join()
            .unwrap();
        assert_eq!(id, Some(*context().request_id()));
    }
}
