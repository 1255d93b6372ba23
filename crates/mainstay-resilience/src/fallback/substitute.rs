//! Where another answer comes from.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll, ready as poll_ready};

use pin_project_lite::pin_project;
use tower_service::Service;

/// Makes another answer.
pub trait Substitute<Req, Res, E> {
    /// What is kept of the request for it.
    type Kept;
    /// The other answer to come.
    type Future: Future<Output = Result<Res, E>>;

    /// Keeps what is needed, before the call.
    fn keep(&self, request: &Req) -> Self::Kept;

    /// Makes another answer instead of this result.
    fn substitute(&mut self, kept: Self::Kept, result: Result<Res, E>) -> Self::Future;
}

/// Always the same value.
#[derive(Clone, Copy, Debug)]
pub struct Value<V>(pub V);

/// What a function makes of the failed result.
#[derive(Clone, Copy, Debug)]
pub struct Function<F>(pub F);

/// What another service answers to the same request.
#[derive(Clone, Copy, Debug)]
pub struct Another<S>(pub S);

pin_project! {
    /// The answer of another service, which is asked when it is ready.
    #[derive(Debug)]
    pub struct Asked<S: Service<Req>, Req> {
        service: S,
        request: Option<Req>,
        #[pin]
        answer: Option<S::Future>,
    }
}

impl<V: Clone, Req, E> Substitute<Req, V, E> for Value<V> {
    type Kept = ();
    type Future = Ready<Result<V, E>>;

    fn keep(&self, _: &Req) {}

    fn substitute(&mut self, (): (), _: Result<V, E>) -> Self::Future {
        ready(Ok(self.0.clone()))
    }
}

impl<F, G, Req, Res, E> Substitute<Req, Res, E> for Function<F>
where
    F: FnMut(Result<Res, E>) -> G,
    G: Future<Output = Result<Res, E>>,
{
    type Kept = ();
    type Future = G;

    fn keep(&self, _: &Req) {}

    fn substitute(&mut self, (): (), result: Result<Res, E>) -> G {
        (self.0)(result)
    }
}

impl<S, Req, Res, E> Substitute<Req, Res, E> for Another<S>
where
    S: Service<Req, Response = Res, Error = E> + Clone,
    Req: Clone,
{
    type Kept = Req;
    type Future = Asked<S, Req>;

    fn keep(&self, request: &Req) -> Req {
        request.clone()
    }

    fn substitute(&mut self, request: Req, _: Result<Res, E>) -> Asked<S, Req> {
        Asked { service: self.0.clone(), request: Some(request), answer: None }
    }
}

impl<S: Service<Req>, Req> Future for Asked<S, Req> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(answer) = this.answer.as_mut().as_pin_mut() {
                return answer.poll(cx);
            }
            poll_ready!(this.service.poll_ready(cx))?;
            let request = this.request.take().expect("it is asked once");
            this.answer.set(Some(this.service.call(request)));
        }
    }
}
