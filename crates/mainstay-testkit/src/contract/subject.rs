//! What a law is checked on: a layer, a request that passes it, and a probe to put inside.

use std::{fmt::Debug, marker::PhantomData, sync::Arc};

use tower_layer::Layer;
use tower_service::Service;

use super::Laws;
use crate::probe::{Probe, ProbeError};

/// A layer under test with everything that goes around it; gathers the bounds that each law would repeat.
pub(super) trait Subject {
    type Request;
    type InnerRequest;
    type Answer;
    type Response;
    type Error: Debug;
    type Service: Service<Self::Request, Response = Self::Response, Error = Self::Error, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static;
    type Layer: Layer<Probe<Self::InnerRequest, Self::Answer>, Service = Self::Service>;

    fn layer(&self) -> Self::Layer;
    fn request(&self) -> Self::Request;
    fn laws(&self) -> Laws;

    /// A probe that answers.
    fn probe(&self) -> Probe<Self::InnerRequest, Self::Answer>;

    /// A probe that becomes ready and answers with this error.
    fn failing_probe(&self, error: ProbeError) -> Probe<Self::InnerRequest, Self::Answer>;

    /// The probe's error in the error of the layered service.
    fn inner_error<'e>(&self, error: &'e Self::Error) -> Option<&'e ProbeError>;
}

pub(super) struct Suite<'a, MakeLayer, MakeRequest, InnerError, Answer, Inner> {
    layer: &'a MakeLayer,
    request: &'a MakeRequest,
    inner_error: &'a InnerError,
    answer: Arc<Answer>,
    laws: Laws,
    inner_request: PhantomData<fn(Inner)>,
}

// === impl Suite ===

impl<'a, MakeLayer, MakeRequest, InnerError, Answer, Inner>
    Suite<'a, MakeLayer, MakeRequest, InnerError, Answer, Inner>
{
    pub(super) fn new(
        layer: &'a MakeLayer,
        request: &'a MakeRequest,
        inner_error: &'a InnerError,
        answer: Answer,
        laws: Laws,
    ) -> Self {
        Self { layer, request, inner_error, answer: Arc::new(answer), laws, inner_request: PhantomData }
    }
}

impl<MakeLayer, MakeRequest, InnerError, Answer, Inner, L, Req, Res, Err> Subject
    for Suite<'_, MakeLayer, MakeRequest, InnerError, Answer, Inner>
where
    MakeLayer: Fn() -> L,
    MakeRequest: Fn() -> Req,
    InnerError: Fn(&Err) -> Option<&ProbeError>,
    Answer: Fn(Inner) -> Res + Send + Sync + 'static,
    L: Layer<Probe<Inner, Res>>,
    L::Service: Service<Req, Error = Err, Future: Send> + Clone + Send + Sync + 'static,
    Err: Debug,
{
    type Request = Req;
    type InnerRequest = Inner;
    type Answer = Res;
    type Response = <L::Service as Service<Req>>::Response;
    type Error = Err;
    type Service = L::Service;
    type Layer = L;

    fn layer(&self) -> L {
        (self.layer)()
    }

    fn request(&self) -> Req {
        (self.request)()
    }

    fn laws(&self) -> Laws {
        self.laws
    }

    fn probe(&self) -> Probe<Inner, Res> {
        let answer = Arc::clone(&self.answer);
        Probe::new(move |request| Ok(answer(request)))
    }

    fn failing_probe(&self, error: ProbeError) -> Probe<Inner, Res> {
        Probe::new(move |_| Err(error.clone()))
    }

    fn inner_error<'e>(&self, error: &'e Err) -> Option<&'e ProbeError> {
        (self.inner_error)(error)
    }
}
