//! Who is told what a layer did.

use std::fmt;
use std::sync::Arc;

/// Somebody who is told of a layer's events, or nobody. Clones tell the same one.
pub(crate) struct Listener<E>(Option<Arc<Told<E>>>);

type Told<E> = dyn Fn(&E) + Send + Sync;

impl<E> Listener<E> {
    /// Nobody.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Tells the ones before, then this one.
    pub(crate) fn and(self, next: impl Fn(&E) + Send + Sync + 'static) -> Self
    where
        E: 'static,
    {
        Self(Some(match self.0 {
            None => Arc::new(next),
            Some(first) => Arc::new(move |event: &E| {
                first(event);
                next(event);
            }),
        }))
    }

    /// Makes the event only if somebody listens. Never call it while a lock is held: the listener may ask the same layer.
    pub(crate) fn tell(&self, event: impl FnOnce() -> E) {
        if let Some(listener) = &self.0 {
            listener(&event());
        }
    }
}

impl<E> Clone for Listener<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E> fmt::Debug for Listener<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Listener(..)" } else { "Listener(nobody)" })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::Listener;

    #[test]
    fn every_listener_is_told_in_order_and_without_one_no_event_is_made() {
        Listener::<u8>::none().tell(|| unreachable!("nobody listens"));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let note = |who: &'static str| {
            let heard = Arc::clone(&heard);
            move |event: &u8| heard.lock().unwrap().push((who, *event))
        };
        let listener = Listener::none().and(note("first")).and(note("second"));
        listener.clone().tell(|| 7);
        assert_eq!(*heard.lock().unwrap(), [("first", 7), ("second", 7)]);
    }
}
