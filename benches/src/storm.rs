//! What does a provider see that fails half of its calls for twenty seconds, and what do the callers?
//!
//! ```sh
//! cargo run -p mainstay-bench -- storm            # draws docs/storm.svg, prints the totals, fails when a promise is broken
//! ```
//!
//! Two storms under the same load, in virtual time, so that a minute takes a second: plain retries, three attempts a call, beside the
//! client stack, which has the same retries, a budget for all of them, and a circuit. The provider is a service in this process.
//! Promises: the extra attempts stay within the budget, the circuit opens, the provider is spared while it is open, and all
//! is well again within one open time and the half-open calls; nothing is held any more at the end.

mod picture;

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use mainstay::client::{self, ClientConfig, ClientStack, ReplayBody};
use mainstay::resilience::breaker::{SlidingWindow, State};
use tokio::time::{Instant, sleep, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

use picture::{Circuit, Panel, Step};

use crate::Outcome;

/// Where the picture is written.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The picture's file.
    #[arg(long, default_value = "docs/storm.svg")]
    out: PathBuf,
}

const CALLS_A_SECOND: u32 = 100;
const LENGTH: Duration = Duration::from_secs(60);
const STORM: (u64, u64) = (10, 30);
const STEP: Duration = Duration::from_millis(500);
const OPEN_FOR: Duration = Duration::from_secs(5);

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let plain = storm(&plain())?;
    let stack = storm(&with_budget_and_circuit())?;
    stack.keep_their_promises()?;

    let panels = [
        Panel { title: "plain retries: three attempts for each call", steps: &plain.steps },
        Panel {
            title: "the client stack: the same retries, a budget for all of them, and a circuit",
            steps: &stack.steps,
        },
    ];
    let seconds = |second: u64| f64::from(u32::try_from(second).unwrap_or(u32::MAX));
    let svg = picture::draw(&panels, STEP.as_secs_f64(), (seconds(STORM.0), seconds(STORM.1)));
    if let Some(folder) = arguments.out.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&arguments.out, svg)?;

    let mut out = io::stdout().lock();
    for (name, storm) in [("plain retries", &plain), ("client stack", &stack)] {
        writeln!(out, "{name:<14} {}", storm.totals())?;
    }
    writeln!(out, "drawn to {}", arguments.out.display())?;
    Ok(())
}

/// No budget that binds, and a circuit that never opens.
fn plain() -> ClientConfig {
    let mut config = with_budget_and_circuit();
    (config.retry.budget.percent, config.retry.budget.min_per_second) = (1000.0, 100_000);
    config.breaker.minimum_number_of_calls = u32::MAX;
    config.breaker.sliding_window = SlidingWindow::Time(Duration::from_secs(10));
    config
}

fn with_budget_and_circuit() -> ClientConfig {
    let mut config = ClientConfig::default();
    (config.retry.budget.percent, config.retry.budget.min_per_second) = (20.0, 0);
    config.breaker.sliding_window = SlidingWindow::Time(Duration::from_secs(10));
    config.breaker.failure_rate_threshold = 40.0;
    config.breaker.minimum_number_of_calls = 50;
    config.breaker.wait_duration_in_open_state = OPEN_FOR;
    config
}

struct Storm {
    steps: Vec<Step>,
    retries: u64,
    opened: u64,
    in_flight: u32,
}

/// Everything runs on one thread; the stack does not know that.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    steps: Vec<Step>,
    started: Option<Instant>,
}

/// Runs the load through a stack with these settings, in virtual time on one thread.
fn storm(config: &ClientConfig) -> Result<Storm, Box<dyn std::error::Error>> {
    let stack = client::stack("provider", config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let steps = usize::try_from(LENGTH.as_millis() / STEP.as_millis())?;
    let seen = Shared::default();
    seen.lock().steps = vec![Step::default(); steps];
    runtime.block_on(drive(&stack, &seen));
    let breakers = stack.breakers().all();
    let opened = breakers.iter().map(|(_, breaker)| breaker.metrics().opened).sum();
    let steps = seen.lock().steps.clone();
    Ok(Storm {
        steps,
        retries: stack.retries().counts().retries,
        opened,
        in_flight: stack.bulkhead().in_flight(),
    })
}

async fn drive(stack: &ClientStack, seen: &Shared) {
    let started = Instant::now();
    seen.lock().started = Some(started);
    let client = stack.layer(Provider { seen: seen.clone(), asked: Arc::default() });
    let mut calls = Vec::new();
    for number in 0..CALLS_A_SECOND * u32::try_from(LENGTH.as_secs()).unwrap_or(u32::MAX) {
        sleep_until(started + Duration::from_secs(1) * number / CALLS_A_SECOND).await;
        let (mut client, noted) = (client.clone(), seen.clone());
        calls.push(tokio::spawn(async move {
            noted.lock().now(|step| step.calls += 1);
            let request = Request::get("http://provider.example/rates").body(Full::<Bytes>::default());
            let request = request.expect("a sound request");
            let ready = std::future::poll_fn(|cx| client.poll_ready(cx)).await;
            if ready.is_ok() && client.call(request).await.is_ok_and(|answer| answer.status().is_success()) {
                noted.lock().now(|step| step.succeeded += 1);
            }
        }));
        note_circuit(stack, seen);
    }
    for call in calls {
        drop(call.await);
    }
}

fn note_circuit(stack: &ClientStack, seen: &Shared) {
    let states: Vec<State> = stack.breakers().all().iter().map(|(_, breaker)| breaker.state()).collect();
    let circuit = match states.first() {
        Some(State::Open) => Circuit::Open,
        Some(State::HalfOpen) => Circuit::HalfOpen,
        _ => Circuit::Closed,
    };
    seen.lock().now(|step| step.circuit = circuit);
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// What is after the end counts to the last step.
    fn now(&mut self, change: impl FnOnce(&mut Step)) {
        let elapsed = self.started.map(|started| started.elapsed()).unwrap_or_default();
        let at = usize::try_from(elapsed.as_millis() / STEP.as_millis()).unwrap_or(usize::MAX);
        let last = self.steps.len() - 1;
        change(&mut self.steps[at.min(last)]);
    }
}

/// Answers after 20 ms; within the storm every second answer is a 503.
#[derive(Clone)]
struct Provider {
    seen: Shared,
    asked: Arc<AtomicU64>,
}

impl Service<Request<ReplayBody<Full<Bytes>>>> for Provider {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<ReplayBody<Full<Bytes>>>) -> Self::Future {
        let started = self.seen.lock().started;
        let second = started.map(|started| started.elapsed().as_secs()).unwrap_or_default();
        self.seen.lock().now(|step| step.attempts += 1);
        // A bit of a hash of the number: neither every other call nor all attempts of one.
        let draw = self.asked.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63;
        let fails = (STORM.0..STORM.1).contains(&second) && draw == 1;
        Box::pin(async move {
            sleep(Duration::from_millis(20)).await;
            let status = if fails { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = status;
            Ok(answer)
        })
    }
}

impl Storm {
    fn sum(&self, count: fn(&Step) -> u32) -> u64 {
        self.steps.iter().map(|step| u64::from(count(step))).sum()
    }

    fn totals(&self) -> String {
        let (calls, attempts) = (self.sum(|step| step.calls), self.sum(|step| step.attempts));
        let busiest = self.steps.iter().map(|step| step.attempts).max().unwrap_or_default();
        format!(
            "{calls} calls, {attempts} attempts ({} extra, at most {} a second), {} succeeded, the circuit opened {} times",
            self.retries,
            u128::from(busiest) * 1_000 / STEP.as_millis(),
            self.sum(|step| step.succeeded),
            self.opened
        )
    }

    fn keep_their_promises(&self) -> Outcome {
        let calls = self.sum(|step| step.calls);
        let promise =
            |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {}", self.totals())) };
        promise(self.retries * 5 <= calls, "more than a fifth was sent again")?;
        promise(self.opened > 0, "the circuit never opened")?;
        let open: u32 = self
            .steps
            .iter()
            .filter(|step| step.circuit == Circuit::Open)
            .map(|step| step.attempts)
            .max()
            .unwrap_or(0);
        promise(open < CALLS_A_SECOND, "an open circuit let calls through")?;
        let well_again = usize::try_from((STORM.1 * 1_000 + 1_000) / 500)?
            + usize::try_from(OPEN_FOR.as_millis() * 12 / 10 / 500)?;
        let after = &self.steps[well_again..self.steps.len() - 1];
        promise(after.iter().all(|step| step.circuit == Circuit::Closed), "the circuit did not close again")?;
        promise(
            after.iter().all(|step| step.succeeded + 5 >= step.calls),
            "calls fail although all is well",
        )?;
        promise(self.in_flight == 0, "a place was lost")?;
        Ok(())
    }
}
