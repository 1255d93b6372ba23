//! The running service: opens the database, starts the stack, and says on the screen how to try it.

use std::error::Error;
use std::fmt::{self, Display, Formatter, Write as _};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mainstay::config::Loader;
use mainstay::config::reload::{Live, Reload};
use mainstay::telemetry::{LogFormat, LogLevels};
use mainstay::{ExitResult, Runtime, client, server, telemetry};
use payment_simulator::{Simulator, SimulatorConfig};
use tokio::net::TcpListener;
use url::Url;

use crate::app::App;
use crate::database::{self, Database, Migration};
use crate::payment::{ApiKey, PaymentClient, PaymentConfig};
use crate::seed;
use crate::settings::{PaymentSettings, Provider, RESTART_ONLY, Settings};
use crate::tenant::{InvalidTenant, Tenant, Tenants};

const DEVELOPMENT: &str = "development";

/// Why the service does not start although every setting by itself is valid.
#[derive(Debug)]
pub enum Refusal {
    /// The database's schema is older than this build.
    Pending(Vec<Migration>),
    /// The payment simulator takes no real money.
    SimulatorOutsideDevelopment {
        /// The profile in force.
        profile: String,
    },
}

/// Takes orders until the process is told to stop, then drains.
///
/// # Errors
///
/// Whatever keeps it from starting, or from ending well.
pub async fn serve(loader: Loader) -> ExitResult {
    let live = Live::<Settings>::new(loader)?.restart_only(&RESTART_ONLY);
    let settings = live.load();
    let settings = settings.as_ref();
    let telemetry = telemetry::init(&settings.telemetry)?;
    let levels = telemetry.levels();
    for warning in live.warnings() {
        tracing::warn!(warning = warning.to_string(), "a setting is suspicious");
    }
    let is_development = live.profile() == DEVELOPMENT;

    let database = open(settings, is_development).await?;
    let (payment_url, simulator) = provider(&settings.payment, live.profile()).await?;
    let payments = PaymentClient::new(PaymentConfig {
        url: payment_url.clone(),
        api_key: Some(ApiKey::parse(settings.payment.api_key.expose())?),
        client: settings.payment.client.clone(),
    })?;
    let start = Start::new(live.profile(), settings, &payment_url);
    let tenants = tenants(settings)?;
    let live = follow(live, tenants.clone(), levels.clone())?;
    let payments = payments.timeout_from({
        let live = Arc::clone(&live);
        move || live.load().payment.client.timeout.limit.unwrap_or(Duration::MAX)
    });
    let breakers = payments.breakers();
    let app = App { database: database.clone(), payments: App::payments(payments), tenants };

    let description = stacks(settings)?;
    let reconcile_every = move || live.load().ordering.reconcile_every;
    let mut runtime = Runtime::new(&settings.runtime)
        .serve("http", settings.server.listen, app.service(&settings.server)?)
        .management(settings.management.listen)
        .page("/stack", description)
        .page_from("/breakers", move || breakers.describe())
        .setting(
            "/log-level",
            {
                let levels = levels.clone();
                move || levels.current()
            },
            move |level| levels.set(level).map_err(|error| error.to_string()),
        )
        .task("reconcile", app.reconciler().run(reconcile_every))
        .on_started(move |addresses| start.print(addresses));
    if let Some((simulator, listener)) = simulator {
        runtime = runtime.task("payment simulator", async move {
            if let Err(error) = simulator.serve(listener).await {
                tracing::error!(%error, "the payment simulator stopped");
            }
        });
    }
    let ended = runtime.run().await;
    database.close().await?;
    Ok(ended?)
}

/// Both stacks in words, with the settings in force at the start.
pub(crate) fn stacks(settings: &Settings) -> Result<String, mainstay::Failure> {
    let server = server::stack(&settings.server)?.describe();
    let payments = client::stack("payments", &settings.payment.client)?.describe();
    Ok(format!("{server}\n{payments}"))
}

/// Follows the settings' files, where there are any: what changed and what was refused is logged, and what need not wait
/// for a restart has its effect.
fn follow(live: Live<Settings>, served: Tenants, levels: LogLevels) -> io::Result<Arc<Live<Settings>>> {
    let live = Arc::new(live.watch()?);
    let followed = Arc::downgrade(&live);
    let level = Mutex::new(live.load().telemetry.log.level.clone());
    let serve = move |settings: &Settings| {
        match tenants(settings) {
            Ok(tenants) => served.replace(tenants.served().iter().cloned()),
            Err(error) => tracing::error!(%error, "the tenants stay as they are"),
        }
        // Only a level that the files change: one that was set by hand stays through any other change.
        let mut level = level.lock().unwrap_or_else(PoisonError::into_inner);
        if *level != settings.telemetry.log.level {
            level.clone_from(&settings.telemetry.log.level);
            if let Err(error) = levels.set(&level) {
                tracing::error!(%error, "the log's levels stay as they are");
            }
        }
    };
    let serve = Arc::new(serve);
    let serve_again = Arc::clone(&serve);
    live.subscribe(move |reload| {
        if let (Reload::Swapped(_), Some(live)) = (reload, followed.upgrade()) {
            serve_again(&live.load());
        }
        // Said when it has its effect.
        match reload {
            Reload::Refused(report) => tracing::error!(%report, "the settings in force stay"),
            other => tracing::info!("{other}"),
        }
    });
    // What changed before anybody was told.
    serve(&live.load());
    Ok(live)
}

/// The database with its schema: brought up to date and filled for development, refused elsewhere when it is behind.
async fn open(settings: &Settings, is_development: bool) -> Result<Database, mainstay::Failure> {
    let database = database::connect(&settings.database.url).await?;
    if is_development {
        database.migrate().await?;
        seed::seed(&database).await?;
    } else {
        let pending = database.pending().await?;
        if !pending.is_empty() {
            return Err(Refusal::Pending(pending).into());
        }
    }
    Ok(database)
}

fn tenants(settings: &Settings) -> Result<Tenants, InvalidTenant> {
    settings.tenants.iter().map(|name| name.parse::<Tenant>()).collect()
}

/// The provider's URL, and the simulator that is to answer there, if it is ours.
async fn provider(
    settings: &PaymentSettings,
    profile: &str,
) -> Result<(Url, Option<(Simulator, TcpListener)>), mainstay::Failure> {
    match &settings.url {
        Provider::At(url) => Ok((url.clone(), None)),
        Provider::Simulator if profile != DEVELOPMENT => {
            Err(Refusal::SimulatorOutsideDevelopment { profile: profile.to_owned() }.into())
        }
        Provider::Simulator => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let url = Url::parse(&format!("http://{}/", listener.local_addr()?))?;
            let api_key = Some(settings.api_key.expose().clone());
            let simulator = Simulator::new(SimulatorConfig { api_key, ..SimulatorConfig::default() });
            Ok((url, Some((simulator, listener))))
        }
    }
}

// === impl Start ===

/// What a person sees when the service has started.
#[derive(Debug)]
struct Start {
    profile: String,
    database: String,
    payments: String,
    is_simulated: bool,
    is_for_people: bool,
}

impl Start {
    fn new(profile: &str, settings: &Settings, payment_url: &Url) -> Self {
        let file = settings.database.url.trim_start_matches("sqlite:").trim_start_matches("//");
        let file = file.split('?').next().unwrap_or_default();
        let is_simulated = settings.payment.url == Provider::Simulator;
        Self {
            profile: profile.to_owned(),
            database: path::absolute(file)
                .map_or_else(|_| file.to_owned(), |file| file.display().to_string()),
            payments: if is_simulated { payment_url.to_string() } else { settings.payment.url.to_string() },
            is_simulated,
            is_for_people: settings.telemetry.log.format == LogFormat::Pretty,
        }
    }

    /// Beside pretty logs on standard output; where a machine reads JSON there, on standard error.
    fn print(&self, addresses: &[(&'static str, SocketAddr)]) {
        let text = self.text(addresses);
        // A closed terminal is no reason not to take orders.
        let _printed: io::Result<()> = if self.is_for_people {
            io::stdout().lock().write_all(text.as_bytes())
        } else {
            io::stderr().lock().write_all(text.as_bytes())
        };
    }

    fn text(&self, addresses: &[(&'static str, SocketAddr)]) -> String {
        let mut text = format!("order-app {}, profile {}\n", env!("CARGO_PKG_VERSION"), self.profile);
        for (name, address) in addresses {
            let path = if *name == "management" { "/readyz" } else { "" };
            writeln!(text, "  {name:<11} http://{address}{path}").expect("writing to a string does not fail");
        }
        let note = if self.is_simulated { "   (simulator; its figures are at this address)" } else { "" };
        text += &format!(
            "  {:<11} {}{note}\n  {:<11} {}\n",
            "payments", self.payments, "database", self.database
        );
        let http = addresses.iter().find(|(name, _)| *name == "http");
        if let Some((_, address)) = http.filter(|_| self.profile == DEVELOPMENT) {
            text += &format!("\ntry it:\n  {}\n\n", try_it(*address));
        }
        text
    }
}

/// One line that places an order.
fn try_it(address: SocketAddr) -> String {
    let body = format!(
        r#"{{"customer_id":"{}","items":[{{"sku":"COFFEE-1KG","quantity":2}}],"payment_token":"tok_ok"}}"#,
        seed::ACME_CUSTOMER
    );
    format!(
        "curl -i http://{address}/orders -H 'x-tenant-id: acme' -H 'content-type: application/json' -d '{body}'"
    )
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending(steps) => {
                f.write_str(
                    "the database's schema is behind this build; run `order-app migrate up` first. Pending:",
                )?;
                steps.iter().try_for_each(|step| write!(f, "\n  {step}"))
            }
            Self::SimulatorOutsideDevelopment { profile } => {
                write!(f, "payment.url is the simulator, which takes no money; refused in profile {profile}")
            }
        }
    }
}

impl Error for Refusal {}
