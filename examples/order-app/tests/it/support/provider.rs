//! The simulator on a port of its own, or nobody on a port of its own.

use std::sync::Arc;
use std::time::Duration;

use mainstay::config::Loader;
use order_app::app::App;
use order_app::ordering::Payments;
use order_app::payment::{PaymentClient, PaymentConfig};
use payment_simulator::{Figures, Simulator, SimulatorConfig};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub(crate) struct Provider {
    simulator: Simulator,
    server: Option<AbortHandle>,
    pub(crate) config: PaymentConfig,
}

impl Provider {
    pub(crate) async fn start(config: SimulatorConfig, timeout: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let simulator = Simulator::new(config);
        let server = tokio::spawn(simulator.clone().serve(listener)).abort_handle();
        Self { simulator, server: Some(server), config: config_of(url, timeout) }
    }

    /// Nobody listens there.
    pub(crate) async fn absent() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        drop(listener);
        let config = config_of(url, Duration::from_secs(60));
        Self { simulator: Simulator::new(SimulatorConfig::default()), server: None, config }
    }

    /// Somebody else answers there: the simulator stays idle.
    pub(crate) async fn other(app: axum::Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app).await }).abort_handle();
        let config = config_of(url, Duration::from_secs(60));
        Self { simulator: Simulator::new(SimulatorConfig::default()), server: Some(server), config }
    }

    pub(crate) fn payments(&self) -> Arc<dyn Payments> {
        App::payments(PaymentClient::new(self.config.clone()).unwrap())
    }

    pub(crate) fn figures(&self) -> Figures {
        self.simulator.figures()
    }
}

/// As the built-in settings call the provider, but for the time that a call and an attempt may take.
pub(crate) fn config_of(url: url::Url, timeout: Duration) -> PaymentConfig {
    let settings = order_app::settings::load(Loader::new("orders").environment::<&str, &str>([])).unwrap();
    let mut client = settings.settings.payment.client;
    (client.timeout.limit, client.attempt_timeout.limit) = (Some(timeout), Some(timeout));
    PaymentConfig { url, api_key: None, client }
}

impl Drop for Provider {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
        if !std::thread::panicking() {
            assert_eq!(self.figures().double_charges, 0, "somebody was charged twice");
        }
    }
}
