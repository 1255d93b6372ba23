//! The rules of those who know no protocol.

use mainstay_core::call::{CallFailure, Hint, Next, Repeat};

/// Any request that can be cloned is sent again when it ends with an error, and any answer is the caller's.
///
/// What a layer of ours [refused](CallFailure::was_refused) is the caller's too. For services whose calls may be carried out twice: of a
/// protocol that knows better, give its own rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct RepeatErrors;

impl<Req: Clone, Res, E: CallFailure> Repeat<Req, Res, E> for RepeatErrors {
    fn again(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }

    fn next(&self, _: &Req, result: Result<&Res, &E>) -> Next {
        if result.is_err() { Next::Repeat(Hint::None) } else { Next::Return }
    }

    fn may_overlap(&self, _: &Req) -> bool {
        true
    }

    fn may_have_run(&self, result: Result<&Res, &E>) -> bool {
        !result.is_err_and(CallFailure::was_refused)
    }
}
