//! What the layers of an outbound call must know of HTTP and gRPC: bodies that can be sent again, answers that are judged at
//! their end, and when a call may be repeated.
//!
//! Breaker, retry, hedge and limits know no protocol; they ask [`Judge`](mainstay_core::call::Judge),
//! [`Settle`](mainstay_core::call::Settle) and [`Repeat`](mainstay_core::call::Repeat). Here are HTTP's and gRPC's answers:
//!
//! | | |
//! |---|---|
//! | [`ReplayLayer`](replay::ReplayLayer) | outside of the retry: keeps a request's body, in bounds, while it streams to the first attempt |
//! | [`HttpRepeat`](repeat::HttpRepeat) | the retry's rules: idempotent methods and keys, status codes, `retry-after`, pushback |
//! | [`PeekLayer`](peek::PeekLayer) | inside of the retry: lets a gRPC status be seen that comes in trailers, before anything else |
//! | [`HttpJudge`](judge::HttpJudge) | what an answer says about the service |
//! | [`BodyEnd`](settle::BodyEnd) | a call is over with its answer's body, and gRPC's status there counts |
//! | [`retry_after`] | the header of that name |
//!
//! ```
//! use mainstay_core::call::{CallError, Judge, Next, Repeat, Verdict};
//! use mainstay_http::outbound::judge::{HttpJudge, JudgeConfig};
//! use mainstay_http::outbound::repeat::{HttpRepeat, RepeatConfig};
//! use mainstay_http::outbound::replay::ReplayBody;
//! use http_body_util::Full;
//! # type Error = CallError<std::io::Error>;
//! # type Sent = http::Request<ReplayBody<Full<bytes::Bytes>>>;
//!
//! let answer = http::Response::builder().status(503).body(())?;
//! let result: Result<_, &Error> = Ok(&answer);
//! assert_eq!(HttpJudge::new(&JudgeConfig::default())?.judge(result), Verdict::Failure);
//!
//! let rules: &dyn Repeat<Sent, http::Response<()>, Error> = &HttpRepeat::new(&RepeatConfig::default())?;
//! let get: Sent = http::Request::get("/orders").body(ReplayBody::new(Full::default(), 65_536))?;
//! let again = rules.again(&get).expect("a body without content can be sent again");
//! assert!(matches!(rules.next(&again, result), Next::Repeat(_)));
//!
//! let post: Sent = http::Request::post("/orders").body(ReplayBody::new(Full::default(), 65_536))?;
//! assert_eq!(rules.next(&post, result), Next::Return, "it may have been carried out");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod grpc;
pub mod judge;
pub mod peek;
pub mod repeat;
pub mod replay;
pub mod retry_after;
mod said;
pub mod settle;
