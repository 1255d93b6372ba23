//! Futures that run beside each other under a name, and are dropped together.

use std::collections::HashMap;
use std::future::Future;

use tokio::task::{Id, JoinSet};

use crate::error::RuntimeError;

#[derive(Default)]
pub(crate) struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    pub(crate) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.running.spawn(task).id();
        self.names.insert(id, name);
    }

    /// How the next one ended; `None` when none is left.
    pub(crate) async fn next_end(&mut self) -> Option<RuntimeError> {
        let (id, panic) = match self.running.join_next_with_id().await? {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), error.try_into_panic().ok()),
        };
        let name = self.names.remove(&id).unwrap_or("unknown");
        Some(match panic {
            None => RuntimeError::Ended { name },
            Some(payload) => {
                let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let message = text.or_else(|| payload.downcast_ref::<String>().cloned());
                RuntimeError::Panicked { name, message: message.unwrap_or_default() }
            }
        })
    }

    /// Drops all that are left, and ends when they are gone.
    pub(crate) async fn stop(&mut self) {
        self.running.shutdown().await;
    }
}
