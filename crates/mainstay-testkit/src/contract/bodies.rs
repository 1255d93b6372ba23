//! The law of response bodies: what a layer wraps around one does not show.

use std::{
    error::Error,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};

use bytes::Bytes;
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    drive::{catch_panic, panics_when_dropped, poll_once, ready, settle},
    subject::Subject,
    verdict::{Verdict, uphold},
};
use crate::body::{Adversary, BodyHandle, ScriptedBody, drain_at_most};

/// All bodies of one kind that the inner service has answered with.
pub(super) struct Bodies {
    adversary: Adversary,
    handles: Arc<Mutex<Vec<BodyHandle>>>,
}

pub(super) async fn check<S, ResBody>(subject: &S, bodies: &Bodies)
where
    S: Subject<Response = http::Response<ResBody>>,
    ResBody: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let adversary = bodies.adversary;
    uphold(subject, "a response body is passed on as it is", async {
        transcripts_are_equal(subject, bodies).await.map_err(|breach| format!("{adversary:?}: {breach}"))?;
        for entries in 0..=1 {
            dropped_early(subject, bodies, entries)
                .await
                .map_err(|breach| format!("{adversary:?}: {breach}"))?;
        }
        Ok(())
    })
    .await;
}

async fn transcripts_are_equal<S, ResBody>(subject: &S, bodies: &Bodies) -> Verdict
where
    S: Subject<Response = http::Response<ResBody>>,
    ResBody: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let entries = bodies.entries_to_read();
    let mut bare = Box::pin(bodies.adversary.body());
    let expected = drain_at_most(bare.as_mut(), entries).await;
    panics_when_dropped(bare);

    let mut body = respond(subject).await?;
    let seen = drain_at_most(body.as_mut(), entries).await;
    if let Some(difference) = seen.difference(&expected) {
        return Err(format!("through the layer, {difference}, which is the bare body"));
    }
    bodies.check_what_comes_then(body.as_mut()).await?;
    let panicked = panics_when_dropped(body);
    if panicked != (bodies.adversary == Adversary::PanicsInDrop) {
        return Err(
            if panicked { "its drop panics" } else { "the panic of its drop is swallowed" }.to_owned()
        );
    }
    bodies.check_all_are_gone("after it was read").await
}

async fn dropped_early<S, ResBody>(subject: &S, bodies: &Bodies, entries: usize) -> Verdict
where
    S: Subject<Response = http::Response<ResBody>>,
    ResBody: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let mut body = respond(subject).await?;
    drain_at_most(body.as_mut(), entries).await;
    panics_when_dropped(body);
    bodies.check_all_are_gone(&format!("after the outer one was dropped with {entries} entries read")).await
}

async fn respond<S, ResBody>(subject: &S) -> Result<Pin<Box<ResBody>>, String>
where
    S: Subject<Response = http::Response<ResBody>>,
{
    let mut service = subject.layer().layer(subject.probe());
    let answer = async {
        ready(&mut service).await?;
        service.call(subject.request()).await
    };
    let response = answer.await.map_err(|error| format!("no answer came but {error:?}"))?;
    Ok(Box::pin(response.into_body()))
}

// === impl Bodies ===

impl Bodies {
    pub(super) fn of(adversary: Adversary) -> Self {
        Self { adversary, handles: Arc::default() }
    }

    /// What the inner service answers with.
    pub(super) fn answer<Request>(
        &self,
    ) -> impl Fn(Request) -> http::Response<ScriptedBody> + Send + Sync + 'static + use<Request> {
        let (adversary, handles) = (self.adversary, Arc::clone(&self.handles));
        move |_| {
            let body = adversary.body();
            handles.lock().unwrap_or_else(PoisonError::into_inner).push(body.handle());
            http::Response::new(body)
        }
    }

    /// How far the transcript goes, where it does not go to the end.
    fn entries_to_read(&self) -> usize {
        match self.adversary {
            Adversary::Hangs | Adversary::PanicsInPoll => 1,
            Adversary::Endless => 8,
            _ => usize::MAX,
        }
    }

    async fn check_what_comes_then<B: Body>(&self, mut body: Pin<&mut B>) -> Verdict {
        let next = pin!(poll_fn(|context| body.as_mut().poll_frame(context)));
        match self.adversary {
            Adversary::Hangs => match poll_once(next).await {
                Poll::Pending => Ok(()),
                Poll::Ready(_) => Err("something comes where the bare body waits".to_owned()),
            },
            Adversary::PanicsInPoll => match catch_panic(next).await {
                Err(_panic) => Ok(()),
                Ok(_) => Err("the panic of its `poll_frame` is swallowed".to_owned()),
            },
            _ => Ok(()),
        }
    }

    async fn check_all_are_gone(&self, when: &str) -> Verdict {
        let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !settle(|| handles.iter().all(BodyHandle::is_dropped)).await {
            return Err(format!("the inner body is not dropped {when}"));
        }
        if handles.iter().any(|body| body.polled_after_end() > 0) {
            return Err(format!("the inner body was polled after its end, seen {when}"));
        }
        Ok(())
    }
}
