//! The one value that a call carries from the edge to the log line, the outbound call and, later, the message.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::fields::Fields;
use crate::{CorrelationId, Deadline, FieldValue, Outcome, RequestId, Scheme, TenantId, TraceContext, Trust};

/// Everything that was decided about a call when it came in.
///
/// One request has one of these, in its extensions, put there by the layer at the edge. It is one `Arc`: a clone is one
/// atomic increment, making it is one allocation. Everything in it is decided once and never changes; the tenant, which
/// is found out later than the rest, [is set once](Self::set_tenant).
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
    /// The id of the whole chain of calls.
    pub correlation_id: CorrelationId,
    /// The call's place in its trace.
    pub trace: TraceContext,
    /// Where the call came from, as far as the edge could tell.
    pub client_address: Option<IpAddr>,
    /// What the client spoke to us or to our outermost proxy.
    pub scheme: Option<Scheme>,
    /// Whether the peer is one of ours.
    pub trust: Trust,
    /// When the call came in, on the monotonic clock.
    pub received_at: Instant,
    /// When the caller stops waiting.
    pub deadline: Option<Deadline>,
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
                fields: Fields::default(),
            }),
        }
    }

    /// The id of this request; hops that trust each other keep it.
    pub fn request_id(&self) -> &RequestId {
        &self.shared.parts.request_id
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

    /// Whether the peer is one of ours.
    pub fn trust(&self) -> Trust {
        self.shared.parts.trust
    }

    /// When the call came in, on the monotonic clock.
    pub fn received_at(&self) -> Instant {
        self.shared.parts.received_at
    }

    /// When the caller stops waiting, or `None` if it waits for ever.
    pub fn deadline(&self) -> Option<Deadline> {
        self.shared.parts.deadline
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
            correlation_id: CorrelationId::from(request_id),
            trace,
            client_address: None,
            scheme: None,
            trust: Trust::Untrusted,
            received_at,
            deadline: None,
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
    use tokio::time::Instant;

    use super::{Parts, RequestContext, TenantConflict};
    use crate::{Outcome, Phase, RequestId, TenantId, TraceContext, Trust};

    fn context() -> RequestContext {
        let trace = TraceContext::root([1; 16], [1; 8]);
        RequestContext::new(Parts::new(RequestId::v7(1_000, [1; 10]), trace, Instant::now().into_std()))
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
    fn it_travels_in_the_extensions_of_a_request_across_threads() {
        let mut extensions = http::Extensions::new();
        extensions.insert(context());
        let id = std::thread::spawn(move || extensions.get::<RequestContext>().map(|c| *c.request_id()))
            .join()
            .unwrap();
        assert_eq!(id, Some(*context().request_id()));
    }
}
