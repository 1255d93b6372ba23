//! The settings, compiled, and what they decide about one request.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Body;
use mainstay_core::{Reason, Rejection, RequestContext};

use super::content::{Types, has_content};
use super::hygiene::Survey;
use super::rewrite::{Denied, Rewrite};
use super::rule::{Side, compile};
use super::{HeaderLimits, InvalidShape, ShapeConfig, Underscores};
use crate::answer::refuse;
use crate::form::Form;
use crate::headers::{ACCEPT_PATCH, ACCEPT_POST};
use crate::media_type::MediaRange;

/// Everything that the settings ask for.
#[derive(Debug)]
pub(super) struct Plan {
    limits: HeaderLimits,
    hygiene: bool,
    underscores: Underscores,
    request: Rewrite,
    response: Rewrite,
    taken: Option<Types>,
    made: Option<Types>,
}

/// Why a request goes no further.
#[derive(Debug)]
pub(super) struct Refusal {
    rejection: Rejection,
    // The types that would be taken.
    accept: Option<HeaderValue>,
}

pub(super) fn content_types(texts: &[String]) -> Result<Option<Types>, InvalidShape> {
    Types::parse(texts, |_| true).map_err(|text| InvalidShape::ContentType(text.to_owned()))
}

pub(super) fn answer_types(texts: &[String]) -> Result<Option<Types>, InvalidShape> {
    Types::parse(texts, MediaRange::is_concrete).map_err(|text| InvalidShape::AnswerType(text.to_owned()))
}

// === impl Plan ===

impl Plan {
    pub(super) fn new(config: &ShapeConfig) -> Result<Self, InvalidShape> {
        Ok(Self {
            limits: config.limits.clone(),
            hygiene: config.hygiene,
            underscores: config.underscores,
            request: compile(&config.request_headers, Side::Request).map_err(InvalidShape::RequestRule)?,
            response: compile(&config.response_headers, Side::Response)
                .map_err(InvalidShape::ResponseRule)?,
            taken: content_types(&config.content_types)?,
            made: answer_types(&config.answer_types)?,
        })
    }

    /// Shapes the request's headers, or says why it goes no further.
    pub(super) fn shape<B: Body>(&self, request: &mut Request<B>, form: Form) -> Result<(), Refusal> {
        // gRPC has types of its own. Whether there is content is asked first: hygiene takes away what would tell.
        let typed = if form == Form::Grpc { None } else { self.taken.as_ref() };
        let typed = typed.filter(|_| has_content(request));
        let version = request.version();
        let headers = request.headers_mut();

        let survey = Survey::of(headers);
        survey.check(&self.limits)?;
        let is_named = |name: &str| self.request.names(name);
        if self.hygiene {
            survey.clean(headers, version, is_named)?;
        }
        survey.treat_underscores(headers, self.underscores, is_named)?;
        self.request.apply(headers)?;
        if let Some(taken) = typed {
            taken
                .check_content(headers)
                .map_err(|rejection| Refusal { rejection, accept: Some(taken.stated().clone()) })?;
        }
        if let Some(made) = self.made.as_ref().filter(|_| form != Form::Grpc) {
            made.check_accept(headers)?;
        }
        Ok(())
    }

    pub(super) fn shapes_answers(&self) -> bool {
        !self.response.is_empty()
    }

    pub(super) fn shape_answer(&self, headers: &mut HeaderMap) {
        // No rule for answers denies: that was checked when they were compiled.
        let _never_denied = self.response.apply(headers);
    }
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn answer(
        &self,
        form: Form,
        method: &Method,
        context: Option<&RequestContext>,
    ) -> Response<bytes::Bytes> {
        let mut answer = refuse(&self.rejection, form, context);
        if let Some(accept) = &self.accept {
            let headers = answer.headers_mut();
            headers.insert(ACCEPT, accept.clone());
            match *method {
                Method::POST => drop(headers.insert(ACCEPT_POST, accept.clone())),
                Method::PATCH => drop(headers.insert(ACCEPT_PATCH, accept.clone())),
                _ => {}
            }
        }
        answer
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, accept: None }
    }
}

impl From<Denied> for Refusal {
    fn from(Denied(header): Denied) -> Self {
        Rejection::new(Reason::Invalid, format!("the header {header} is not taken")).into()
    }
}
