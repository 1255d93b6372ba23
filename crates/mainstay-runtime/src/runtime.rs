//! The runtime: what is served and done, from the start to the end of the drain.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt, pending};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::time::sleep;
use tower::{BoxError, Service};

use crate::config::RuntimeConfig;
use crate::connection::{Connect, connect};
use crate::error::RuntimeError;
use crate::management::{Management, Page};
use crate::phase::Phase;
use crate::server::{Listener, Open};
use crate::signals::Signals;
use crate::tasks::Tasks;

/// What a process serves and does, from its start to its end.
///
/// The [crate's page](crate) shows one and says what happens when. Built by value; nothing happens before
/// [`Runtime::run`].
#[must_use = "nothing happens before `run`"]
pub struct Runtime {
    config: RuntimeConfig,
    servers: Vec<(&'static str, SocketAddr, Connect)>,
    management: Option<SocketAddr>,
    pages: Vec<(String, Page)>,
    tasks: Vec<(&'static str, BoxFuture<'static, ()>)>,
    on_started: Vec<OnStarted>,
    conditions: Vec<BoxFuture<'static, ()>>,
}

type OnStarted = Box<dyn FnOnce(&[(&'static str, SocketAddr)]) + Send>;

// === impl Runtime ===

impl Runtime {
    /// Nothing to do yet, under these settings.
    pub fn new(config: &RuntimeConfig) -> Self {
        Self {
            config: config.clone(),
            servers: Vec::new(),
            management: None,
            pages: Vec::new(),
            tasks: Vec::new(),
            on_started: Vec::new(),
            conditions: Vec::new(),
        }
    }

    /// Serves `service` over HTTP/1.1 and HTTP/2 on `address`; port 0 lets the system choose one.
    ///
    /// The service is cloned for each request, and the clone is made ready before it is called. Each request has a
    /// [`Peer`](mainstay_core::Peer) in its extensions.
    pub fn serve<S, B>(mut self, name: &'static str, address: SocketAddr, service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        self.servers.push((name, address, connect(service, self.config.header_read_timeout)));
        self
    }

    /// Answers those who run the service on an address of its own, to the very end of the drain.
    ///
    /// `GET /livez` is 200 `ok`. `GET /readyz` is 200 `ready`, or 503 `starting` or `draining`. Pages of
    /// [`Runtime::page`] are 200, everything else is 404; all is plain text. There is no authentication: keep this
    /// address inside. Its connections are not waited for, and cut at the end. Default: no such listener.
    pub fn management(mut self, address: SocketAddr) -> Self {
        self.management = Some(address);
        self
    }

    /// Adds a page of plain text to what [`Runtime::management`] answers, and is not shown without it. `/livez` and
    /// `/readyz` cannot be replaced; of two pages for one path the later one is shown.
    pub fn page(mut self, path: impl Into<String>, text: impl Into<String>) -> Self {
        self.pages.push((path.into(), Page::Written(text.into().into())));
        self
    }

    /// The same for a page whose text is made each time that it is asked for, such as the state of circuit breakers. `text` runs on
    /// the listener's task: it must be quick and must not block.
    pub fn page_from(
        mut self,
        path: impl Into<String>,
        text: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        self.pages.push((path.into(), Page::Made(Arc::new(text))));
        self
    }

    /// The same for something that can also be changed while the service runs, such as the log's level: `read` shows it, and PUT with
    /// the new value as the body (UTF-8, trimmed, 4 KiB at most) gives it to `write`. What `write` refuses is answered with 422 and its
    /// words. A change is logged; it has to be asked for by an address or as `localhost`, so that no page in somebody's browser can.
    pub fn setting(
        mut self,
        path: impl Into<String>,
        read: impl Fn() -> String + Send + Sync + 'static,
        write: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.pages.push((path.into(), Page::Setting(Arc::new(read), Arc::new(write))));
        self
    }

    /// Runs `task` beside the servers, on a task of its own.
    ///
    /// It is meant to run for ever. When it ends or panics, that is logged with its name and the shutdown begins, with
    /// an error at its end. After the drain, or when that is given up, it is dropped at its next await.
    pub fn task(mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> Self {
        self.tasks.push((name, task.boxed()));
        self
    }

    /// Calls `hook` with every listener's name and bound address, in the order in which they were added and
    /// `management` last, after all are bound and before anything else than the management pages is served. While it
    /// runs, the service is `starting`.
    pub fn on_started(mut self, hook: impl FnOnce(&[(&'static str, SocketAddr)]) + Send + 'static) -> Self {
        self.on_started.push(Box::new(hook));
        self
    }

    /// Begins the shutdown also when `condition` ends, besides at SIGTERM and Ctrl-C. Given several times, the first
    /// one counts; unlike a second signal, a second condition does not cut the shutdown short.
    pub fn shutdown_when(mut self, condition: impl Future<Output = ()> + Send + 'static) -> Self {
        self.conditions.push(condition.boxed());
        self
    }

    /// Runs until a signal, a condition or the end of a task, and through the drain after that.
    ///
    /// From the first call on, SIGTERM and Ctrl-C no longer end the process by themselves, also after the run. When the
    /// future is dropped, everything is cut at once: listeners, connections and tasks.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`], which says what did not start or did not end well. A task's early end wins over a drain that
    /// took too long, which is then only logged.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its I/O and time drivers on.
    pub async fn run(self) -> Result<(), RuntimeError> {
        let signals = Signals::of_the_process().map_err(RuntimeError::Signals)?;
        self.run_until(signals).await
    }

    async fn run_until(self, mut signals: Signals) -> Result<(), RuntimeError> {
        self.conditions.into_iter().for_each(|condition| signals.or_when(condition));
        let (phase, watching) = watch::channel(Phase::Starting);
        let open = Open::default();

        // Bind everything before anything is served.
        let mut listeners = Vec::new();
        for (name, address, connect) in self.servers {
            listeners.push(Listener::bind(name, address, connect).await?);
        }
        let management = match self.management {
            None => None,
            Some(address) => {
                let pages = Management::new(watching.clone(), self.pages);
                let connect = connect(pages, self.config.header_read_timeout);
                Some(Listener::bind("management", address, connect).await?)
            }
        };
        let addresses: Vec<_> =
            listeners.iter().chain(&management).map(|listener| (listener.name, listener.address)).collect();
        for (listener, address) in &addresses {
            tracing::info!(listener, %address, "listening");
        }

        // Dropped at the end, which cuts what is still open.
        let mut pages = Tasks::default();
        if let Some(listener) = management {
            pages.spawn(listener.name, listener.serve(pending(), Open::default()));
        }
        self.on_started.into_iter().for_each(|hook| hook(&addresses));
        let mut servers = Tasks::default();
        for listener in listeners {
            servers.spawn(listener.name, listener.serve(draining(watching.clone()), open.clone()));
        }
        let mut tasks = Tasks::default();
        for (name, task) in self.tasks {
            tasks.spawn(name, task);
        }
        phase.send_replace(Phase::Ready);

        let ended = tokio::select! {
            cause = signals.first() => {
                tracing::info!(cause, open_connections = open.count(), "shutdown begun");
                Ok(())
            }
            Some(error) = servers.next_end() => Err(begun_by(error)),
            Some(error) = tasks.next_end() => Err(begun_by(error)),
        };
        phase.send_replace(Phase::Draining);
        let drained = drain(&self.config, &mut signals, servers, tasks, &open).await;
        match &drained {
            Ok(()) => tracing::info!("drained"),
            Err(error) => tracing::error!(error = %error, "shutdown given up"),
        }
        ended.and(drained)
    }
}

/// Shows names and addresses: services and tasks have nothing to show.
impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self.servers.iter().map(|(name, address, _)| (name, address)).collect();
        let tasks: Vec<_> = self.tasks.iter().map(|(name, _)| name).collect();
        f.debug_struct("Runtime")
            .field("config", &self.config)
            .field("servers", &servers)
            .field("management", &self.management)
            .field("tasks", &tasks)
            .finish_non_exhaustive()
    }
}

/// Ends when the drain begins, or when the run is gone.
async fn draining(mut phase: watch::Receiver<Phase>) {
    phase.wait_for(|phase| *phase == Phase::Draining).await.ok();
}

fn begun_by(error: RuntimeError) -> RuntimeError {
    tracing::error!(error = %error, "shutdown begun");
    error
}

/// Waits for the servers' connections, then drops the tasks; both together within the grace period.
async fn drain(
    config: &RuntimeConfig,
    signals: &mut Signals,
    mut servers: Tasks,
    mut tasks: Tasks,
    open: &Open,
) -> Result<(), RuntimeError> {
    let orderly = async {
        let mut panicked = None;
        loop {
            tokio::select! {
                // A server that ends has drained.
                server = servers.next_end() => if server.is_none() { break },
                Some(error) = tasks.next_end() => if let RuntimeError::Panicked { .. } = error {
                    panicked.get_or_insert(error);
                },
            }
        }
        tasks.stop().await;
        panicked
    };
    let mut orderly = pin!(orderly);
    tokio::select! {
        // What is done at once is done, also with a second signal waiting or a grace period of zero.
        biased;
        panicked = &mut orderly => panicked.map_or(Ok(()), Err),
        _ = signals.again() => Err(RuntimeError::Interrupted { open_connections: open.count() }),
        () = sleep(config.grace_period) => Err(RuntimeError::GraceElapsed { open_connections: open.count() }),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::iter;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_second_signal_ends_a_shutdown_that_still_waits() {
        let (address, bound) = oneshot::channel();
        let (entered, is_entered) = oneshot::channel();
        let entered = Arc::new(std::sync::Mutex::new(Some(entered)));
        let hanging = tower::service_fn(move |_: Request<Incoming>| {
            let entered = entered.lock().ok().and_then(|mut entered| entered.take());
            async move {
                entered.map(|entered| entered.send(()));
                pending::<Result<Response<String>, Infallible>>().await
            }
        });
        let runtime = Runtime::new(&RuntimeConfig::default())
            .serve("http", ([127, 0, 0, 1], 0).into(), hanging)
            .on_started(move |addresses| address.send(addresses[0].1).unwrap());
        let (signal, signals) = tokio::sync::mpsc::unbounded_channel();
        let signals = futures_util::stream::unfold(signals, |mut signals| async {
            signals.recv().await.map(|name| (name, signals))
        });

        let run = tokio::spawn(runtime.run_until(Signals::new(signals)));
        let mut client = tokio::net::TcpStream::connect(bound.await.unwrap()).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut client, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        is_entered.await.unwrap();
        signal.send("SIGTERM").unwrap();
        signal.send("SIGTERM").unwrap();

        let error = run.await.unwrap().unwrap_err();
        assert!(matches!(error, RuntimeError::Interrupted { open_connections: 1 }), "{error}");
    }

    #[tokio::test]
    async fn two_signals_with_nothing_open_are_an_orderly_end() {
        let runtime = Runtime::new(&RuntimeConfig::default());
        runtime.run_until(Signals::new(iter(["SIGTERM", "SIGTERM"]))).await.unwrap();
    }
}
