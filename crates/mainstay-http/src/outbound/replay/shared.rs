//! What the attempts share: the source, and what was read of it.

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

use super::ReplayError;
use crate::outbound::said::Said;

/// What a frame costs at least, so that many small ones are bounded too: about the size of a [`Kept`].
const LEAST_COST: usize = 64;

/// One attempt's part in a body.
pub(super) struct Handle<B: Body<Data = Bytes>> {
    shared: Arc<Mutex<Shared<B>>>,
    /// The number of the attempt: 0, and larger for every later one.
    attempt: u32,
    /// How many of the kept frames this attempt was given.
    position: usize,
    /// It was given the end or an error.
    is_finished: bool,
}

/// Sees a body without keeping it.
pub(super) struct Watched<B: Body<Data = Bytes>>(Weak<Mutex<Shared<B>>>);

/// What a source gave before it was wanted, or to one who may not have it.
pub(super) struct Early<E> {
    pub(super) said: Said,
    pub(super) event: Option<Result<Frame<Bytes>, E>>,
}

struct Shared<B: Body<Data = Bytes>> {
    /// Until its end, its error, or the drop of the only attempt that could read on.
    source: Option<B>,
    /// What the source gave, and nobody was given yet.
    early: Option<Early<B::Error>>,
    /// What the source said before its end, once it came.
    end: Option<Said>,
    is_broken: bool,
    /// The attempt that reads what is not kept any more, and that nobody else can read.
    alone: Option<u32>,
    kept: Vec<Kept>,
    kept_bytes: usize,
    max_bytes: usize,
    last_attempt: u32,
    /// The attempts after the first one that have claimed the body or begun to read it, and were not dropped.
    claims: Vec<Claim>,
    /// Who wants to know when more was read, or somebody was dropped.
    waiting: Vec<(u32, Waker)>,
}

struct Claim {
    attempt: u32,
    has_begun: bool,
}

struct Kept {
    said: Said,
    part: Part,
}

enum Part {
    Data(Bytes),
    Trailers(Box<HeaderMap>),
}

/// What is left to do when the lock is open again: both may run anybody's code.
struct After<B> {
    wake: Vec<Waker>,
    source: Option<B>,
    kept: Vec<Kept>,
}

type Polled<E> = Poll<Option<Result<Frame<Bytes>, ReplayError<E>>>>;

fn lock<B: Body<Data = Bytes>>(shared: &Mutex<Shared<B>>) -> MutexGuard<'_, Shared<B>> {
    shared.lock().unwrap_or_else(|poisoned| {
        // The source panicked, so what it would give next is no continuation.
        let mut shared = poisoned.into_inner();
        shared.is_broken = true;
        shared
    })
}

// === impl Handle ===

impl<B: Body<Data = Bytes> + Unpin> Handle<B> {
    pub(super) fn new(source: B, early: Option<Early<B::Error>>, max_bytes: usize) -> Self {
        let shared = Shared {
            source: Some(source),
            early,
            end: None,
            is_broken: false,
            alone: None,
            kept: Vec::new(),
            kept_bytes: 0,
            max_bytes,
            last_attempt: 0,
            claims: Vec::new(),
            waiting: Vec::new(),
        };
        Self { shared: Arc::new(Mutex::new(shared)), attempt: 0, position: 0, is_finished: false }
    }

    pub(super) fn again(&self) -> Option<Self> {
        let mut shared = lock(&self.shared);
        if !shared.can_repeat() {
            return None;
        }
        shared.last_attempt += 1;
        let attempt = shared.last_attempt;
        drop(shared);
        Some(Self { shared: Arc::clone(&self.shared), attempt, position: 0, is_finished: false })
    }

    /// Whether the source has ended and all of it is kept.
    pub(super) fn is_kept(&self) -> bool {
        let shared = lock(&self.shared);
        shared.can_repeat() && shared.end.is_some()
    }

    pub(super) fn can_repeat(&self) -> bool {
        lock(&self.shared).can_repeat()
    }

    pub(super) fn claim(&self) -> bool {
        let mut shared = lock(&self.shared);
        shared.claim(self.attempt, false);
        shared.can_repeat()
    }

    pub(super) fn watch(&self) -> Watched<B> {
        Watched(Arc::downgrade(&self.shared))
    }

    pub(super) fn said(&self) -> Said {
        if self.is_finished { Said::ended() } else { lock(&self.shared).said(self.attempt, self.position) }
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled<B::Error> {
        if self.is_finished {
            return Poll::Ready(None);
        }
        // Only through a handle can another one be made: nobody can want what this one reads.
        let is_only = Arc::strong_count(&self.shared) == 1;
        let (polled, after) = lock(&self.shared).poll_frame(self.attempt, &mut self.position, is_only, cx);
        self.is_finished = matches!(polled, Poll::Ready(None | Some(Err(_))));
        after.run();
        polled
    }
}

#[cfg(test)]
impl<B: Body<Data = Bytes>> Handle<B> {
    pub(super) fn kept_bytes(&self) -> usize {
        let shared = lock(&self.shared);
        shared.kept.iter().map(|kept| kept.part.cost()).sum()
    }
}

impl<B: Body<Data = Bytes>> Drop for Handle<B> {
    fn drop(&mut self) {
        if Arc::strong_count(&self.shared) > 1 {
            let after = lock(&self.shared).leave(self.attempt);
            after.run();
        }
    }
}

// === impl Watched ===

impl<B: Body<Data = Bytes>> Watched<B> {
    /// Whether nothing is left to read: by the end, or because nobody is there any more who would.
    pub(super) fn is_read(&self) -> bool {
        self.0.upgrade().is_none_or(|shared| lock(&shared).is_read())
    }
}

// === impl Shared ===

impl<B: Body<Data = Bytes>> Shared<B> {
    fn can_repeat(&self) -> bool {
        !self.is_broken && self.alone.is_none()
    }

    fn is_read(&self) -> bool {
        self.end.is_some() || (self.early.is_none() && self.source.as_ref().is_some_and(B::is_end_stream))
    }

    /// The first attempt is not listed, so that a call without a second one allocates no list.
    fn claim(&mut self, attempt: u32, has_begun: bool) {
        match self.claims.iter_mut().find(|claim| claim.attempt == attempt) {
            Some(claim) => claim.has_begun |= has_begun,
            None if attempt > 0 => self.claims.push(Claim { attempt, has_begun }),
            None => {}
        }
    }

    fn is_newest_begun(&self, attempt: u32) -> bool {
        self.claims.iter().all(|claim| !claim.has_begun || claim.attempt <= attempt)
    }

    fn is_newest_claimed(&self, attempt: u32) -> bool {
        self.claims.iter().all(|claim| claim.attempt <= attempt)
    }

    fn said(&self, attempt: u32, position: usize) -> Said {
        if self.is_broken || self.alone.is_some_and(|alone| alone != attempt) {
            return Said::nothing();
        }
        let kept = self.kept.get(position).map(|kept| &kept.said);
        let known = kept.or(self.end.as_ref()).or(self.early.as_ref().map(|early| &early.said));
        known.copied().or_else(|| self.source.as_ref().map(Said::by)).unwrap_or_else(Said::nothing)
    }

    fn poll_frame(
        &mut self,
        attempt: u32,
        position: &mut usize,
        is_only: bool,
        cx: &mut Context<'_>,
    ) -> (Polled<B::Error>, After<B>)
    where
        B: Unpin,
    {
        if self.is_broken {
            return (Poll::Ready(Some(Err(ReplayError::Broken))), After::nothing());
        }
        if self.alone.is_some_and(|alone| alone != attempt) {
            let error = ReplayError::NotKept { max_bytes: self.max_bytes };
            return (Poll::Ready(Some(Err(error))), After::nothing());
        }
        self.claim(attempt, true);
        // Nothing is kept when one is alone.
        if let Some(kept) = self.kept.get(*position) {
            *position += 1;
            return (Poll::Ready(Some(Ok(kept.part.frame()))), After::nothing());
        }
        if self.end.is_none() && self.alone.is_none() && !self.is_newest_begun(attempt) {
            self.wait(attempt, cx.waker());
            return (Poll::Pending, After::nothing());
        }
        self.poll_source(attempt, position, is_only, cx)
    }

    fn poll_source(
        &mut self,
        attempt: u32,
        position: &mut usize,
        is_only: bool,
        cx: &mut Context<'_>,
    ) -> (Polled<B::Error>, After<B>)
    where
        B: Unpin,
    {
        let Some(source) = self.source.as_mut() else {
            return (Poll::Ready(None), After::nothing());
        };
        let (said, polled) = match self.early.take() {
            Some(early) => (early.said, Poll::Ready(early.event)),
            None => (Said::by(source), Pin::new(source).poll_frame(cx)),
        };
        let Poll::Ready(event) = polled else {
            // A newer attempt may put its waker in the place of this one at the source.
            if !is_only {
                self.wait(attempt, cx.waker());
            }
            return (Poll::Pending, After::nothing());
        };
        let mut after = After { wake: self.woken(attempt), ..After::nothing() };
        let given = match event {
            None => {
                self.end = Some(said);
                after.source = self.source.take();
                None
            }
            Some(Err(error)) => {
                self.is_broken = true;
                after.source = self.source.take();
                after.kept = mem::take(&mut self.kept);
                Some(Err(ReplayError::Body(error)))
            }
            Some(Ok(frame)) if self.alone.is_some() => Some(Ok(frame)),
            Some(Ok(frame)) if !is_only && self.keep(&frame, said) => {
                *position += 1;
                Some(Ok(frame))
            }
            Some(Ok(frame)) if self.is_newest_claimed(attempt) => {
                self.alone = Some(attempt);
                after.kept = mem::take(&mut self.kept);
                Some(Ok(frame))
            }
            // A newer attempt needs it, and what was kept before it.
            event => {
                self.early = Some(Early { said, event });
                self.claims.retain(|claim| claim.attempt != attempt);
                Some(Err(ReplayError::NotKept { max_bytes: self.max_bytes }))
            }
        };
        (Poll::Ready(given), after)
    }

    /// Whether there was room for it.
    fn keep(&mut self, frame: &Frame<Bytes>, said: Said) -> bool {
        let Some(part) = Part::of(frame) else { return false };
        let bytes = self.kept_bytes.saturating_add(part.cost());
        let has_room = bytes <= self.max_bytes;
        if has_room {
            self.kept_bytes = bytes;
            self.kept.push(Kept { said, part });
        }
        has_room
    }

    fn leave(&mut self, attempt: u32) -> After<B> {
        self.claims.retain(|claim| claim.attempt != attempt);
        self.waiting.retain(|(waiting, _)| *waiting != attempt);
        let mut after = After { wake: self.woken(attempt), ..After::nothing() };
        if self.alone == Some(attempt) {
            // Nobody else may read it.
            after.source = self.source.take();
        }
        after
    }

    fn wait(&mut self, attempt: u32, waker: &Waker) {
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == attempt) {
            Some((_, known)) => known.clone_from(waker),
            None => self.waiting.push((attempt, waker.clone())),
        }
    }

    fn woken(&mut self, by: u32) -> Vec<Waker> {
        let waiting = self.waiting.drain(..);
        waiting.filter(|(attempt, _)| *attempt != by).map(|(_, waker)| waker).collect()
    }
}

// === impl Part ===

impl Part {
    /// `None` of a frame that is neither: there is no way to make another one of it.
    fn of(frame: &Frame<Bytes>) -> Option<Self> {
        let data = frame.data_ref().map(|data| Self::Data(data.clone()));
        data.or_else(|| frame.trailers_ref().map(|trailers| Self::Trailers(Box::new(trailers.clone()))))
    }

    fn frame(&self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data.clone()),
            Self::Trailers(trailers) => Frame::trailers(HeaderMap::clone(trailers)),
        }
    }

    fn cost(&self) -> usize {
        match self {
            Self::Data(data) => data.len().max(LEAST_COST),
            Self::Trailers(trailers) => {
                let fields =
                    trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + LEAST_COST);
                LEAST_COST + fields.sum::<usize>()
            }
        }
    }
}

// === impl After ===

impl<B> After<B> {
    const fn nothing() -> Self {
        Self { wake: Vec::new(), source: None, kept: Vec::new() }
    }

    fn run(self) {
        for waker in self.wake {
            waker.wake();
        }
        drop((self.source, self.kept));
    }
}
