//! Where a panic happened: only a panic hook is told, so one remembers it for the guard on the same thread.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Once;
use std::thread;

/// The longest text of a panic that is kept, and the longest backtrace that reaches the log, in bytes.
pub(super) const MAX_TEXT: usize = 64 * 1_024;
const MAX_BACKTRACE: usize = 16 * 1_024;

thread_local! {
    static LAST: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// What the hook saw of this thread's last panic.
#[derive(Debug)]
struct Seen {
    text: String,
    place: Place,
}

/// Where a panic happened.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) location: String,
    pub(super) backtrace: Option<String>,
}

/// Lets the events of all panic guards say where a panic happened: `location`, and, where `RUST_BACKTRACE` asks for one,
/// `backtrace`.
///
/// A hook is the process's, so nothing installs one but this call, which belongs at the beginning of `main`. The hook that
/// was there before still runs, after ours, for every panic: the default one prints to standard error. Further calls do
/// nothing, and neither does one on a thread that panics.
pub fn install_hook() {
    static ONCE: Once = Once::new();
    if thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |info| {
            remember(info);
            previous(info);
        }));
    });
}

fn remember(info: &PanicHookInfo<'_>) {
    let Some(location) = info.location() else { return };
    let backtrace = Backtrace::capture();
    let seen = Seen {
        text: text_of(info.payload()).to_owned(),
        place: Place {
            location: location.to_string(),
            backtrace: (backtrace.status() == BacktraceStatus::Captured)
                .then(|| shortened(&backtrace.to_string(), MAX_BACKTRACE).to_owned()),
        },
    };
    // A hook must not panic: where the thread ends, or a drop below panics in turn, the place is not known.
    drop(LAST.try_with(|last| last.try_borrow_mut().ok().and_then(|mut last| last.replace(seen))));
}

/// Where the panic with this text happened, if the hook saw it. A panic that was carried over from another thread with
/// `resume_unwind` runs no hook, and what is remembered here is then another one's: the text tells.
pub(super) fn place_of(text: &str) -> Option<Place> {
    let seen = LAST.try_with(|last| last.try_borrow_mut().ok().and_then(|mut last| last.take())).ok()??;
    (seen.text == text).then_some(seen.place)
}

/// A panic's text, as much of it as may be logged.
pub(super) fn text_of(payload: &dyn Any) -> &str {
    let text = payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text");
    shortened(text, MAX_TEXT)
}

pub(super) fn shortened(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
