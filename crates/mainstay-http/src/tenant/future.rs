//! The future: the inner one, a refusal, or a question first.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use mainstay_core::TenantId;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::resolver::{Asking, Standing};
use super::{Fault, Refusal, Served, Shared};
use crate::body::AnswerBody;

pin_project! {
    /// The future of [`Tenant`](super::Tenant). Dropping it drops the inner one, or its part in the question that it waits for.
    #[derive(Debug)]
    pub struct TenantFuture<S, B, F> {
        #[pin]
        state: State<S, B, F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProject]
    enum State<S, B, F> {
        Passing { #[pin] inner: F },
        Refused { refusal: Refusal },
        // Boxed, so that calls whose tenant is known at once do not carry the room for it.
        Asking { call: Box<Call<S, B>> },
    }
}

/// A call that waits for its tenant's standing, with the service that was made ready for it.
#[derive(Debug)]
struct Call<S, B> {
    service: S,
    // None: the service has it.
    request: Option<Request<B>>,
    shared: Arc<Shared>,
    tenant: TenantId,
    asking: Asking,
}

// === impl TenantFuture ===

impl<S, B, F> TenantFuture<S, B, F> {
    pub(super) const fn passing(inner: F) -> Self {
        Self { state: State::Passing { inner } }
    }

    pub(super) const fn refused(refusal: Refusal) -> Self {
        Self { state: State::Refused { refusal } }
    }

    pub(super) fn asking(
        service: S,
        request: Request<B>,
        shared: Arc<Shared>,
        tenant: TenantId,
        asking: Asking,
    ) -> Self {
        Self {
            state: State::Asking {
                call: Box::new(Call { service, request: Some(request), shared, tenant, asking }),
            },
        }
    }
}

impl<S, B, F, ResB> Future for TenantFuture<S, B, F>
where
    S: Service<Request<B>, Response = Response<ResB>, Future = F>,
    F: Future<Output = Result<Response<ResB>, S::Error>>,
{
    type Output = Result<Response<AnswerBody<ResB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProject::Passing { inner } => {
                    return inner.poll(cx).map_ok(|response| response.map(AnswerBody::inner));
                }
                StateProject::Refused { refusal } => {
                    return Poll::Ready(Ok(refusal.answer().map(AnswerBody::written)));
                }
                StateProject::Asking { call } => {
                    let standing = ready!(Pin::new(&mut call.asking).poll(cx));
                    call.go_on(standing)
                }
            };
            state.set(next);
        }
    }
}

// === impl Call ===

impl<S, B> Call<S, B> {
    fn go_on(&mut self, standing: Result<Standing, Fault>) -> State<S, B, S::Future>
    where
        S: Service<Request<B>>,
    {
        let mut request = self.request.take().expect("taken once, when the state changes");
        let settled = standing.and_then(|standing| match standing {
            Standing::Known => self.shared.settle(&mut request, Some(&Served::of(self.tenant.clone()))),
            Standing::Unknown | Standing::NotAllowed => Err(Fault::Refused),
        });
        match settled {
            Ok(()) => State::Passing { inner: self.service.call(request) },
            Err(fault) => State::Refused { refusal: Refusal::of(fault, &request) },
        }
    }
}
