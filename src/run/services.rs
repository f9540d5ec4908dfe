//! Service containers of a case, such as its database. Every case gets fresh ones.
//!
//! The holder gives each its own namespace behind the simulated internet. The candidate reaches it through the holder's
//! relay, so faults of hosts on the internet apply to it, too.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;

use super::RunError;
use super::context::Context;
use super::holder::Holder;
use super::logs::Log;
use super::teardown::Teardown;
use crate::engine::{ContainerSpec, Network, Output};
use crate::holder::protocol::{Answer, Await, Upstream};
use crate::model::service::{ServiceContainer, UpstreamKind};
use crate::model::{Redactor, Service};

const NO_SERVICES: &str =
    "service containers are not supported: this engine joins only the namespace that a holder started with";
const NO_SERVICES_HINT: &str = "Use Docker, or give the upstream a stub instead of a container.";

/// The upstreams of a case, and the containers that serve some of them.
pub(crate) struct Services<'a> {
    /// The upstreams as sent to the holder.
    pub(crate) upstreams: Vec<Upstream>,
    running: Vec<Running<'a>>,
}

struct Running<'a> {
    number: u32,
    port: u16,
    host: String,
    container: ServiceContainer,
    log: Arc<Mutex<Log>>,
    teardown: Teardown<'a>,
}

impl<'a> Services<'a> {
    /// Starts the containers, each in its own namespace.
    ///
    /// # Errors
    /// The engine's and the holder's.
    pub(crate) async fn start(
        context: &'a Context,
        service: &Service,
        holder: &mut Holder,
        run: u64,
    ) -> Result<Self, RunError> {
        let mut this = Self { upstreams: Vec::new(), running: Vec::new() };
        for upstream in &service.upstreams {
            let (host, port) = (upstream.host.to_string(), upstream.port);
            let answer = match &upstream.kind {
                UpstreamKind::Stub(stub) => Answer::Stub(stub.clone()),
                UpstreamKind::Container(container) => {
                    let number = u32::try_from(this.running.len()).unwrap_or(u32::MAX);
                    let running = launch(context, container, holder, (run, number)).await;
                    let (log, teardown) = running.map_err(|e| match e {
                        RunError::Unsupported { .. } => e,
                        other => RunError::service(&host, port, &other.to_string(), ""),
                    })?;
                    let container = container.clone();
                    this.running.push(Running { number, port, host: host.clone(), container, log, teardown });
                    Answer::Service(number)
                }
            };
            this.upstreams.push(Upstream { host, port, address: upstream.address, answer });
        }
        Ok(this)
    }

    /// Waits until every service accepts connections.
    ///
    /// # Errors
    /// [`RunError::Service`] for the first that does not in time, with its last log line.
    pub(crate) async fn wait_until_serving(&self, holder: &mut Holder, run: u64) -> Result<(), RunError> {
        for one in &self.running {
            let order = Await { run, number: one.number, port: one.port };
            if let Err(error) = holder.wait_until_serving(order, one.container.ready_within).await {
                let env = one.container.env.iter().map(|(n, v)| (n.as_str(), v.as_str()));
                let redactor = Redactor::new(env, &Default::default());
                let log = one.log.lock().unwrap_or_else(PoisonError::into_inner);
                let (lines, _) = log.last_lines(&log.text(&redactor), 0.0);
                let last = lines.last().cloned().unwrap_or_default();
                return Err(RunError::service(&one.host, one.port, &error.to_string(), &last));
            }
        }
        Ok(())
    }

    /// Removes the containers in the background.
    pub(crate) async fn tear_down(self) {
        for one in self.running {
            one.teardown.start().await;
        }
    }
}

async fn launch<'a>(
    context: &'a Context,
    container: &ServiceContainer,
    holder: &mut Holder,
    (run, number): (u64, u32),
) -> Result<(Arc<Mutex<Log>>, Teardown<'a>), RunError> {
    if !context.pool.fresh() {
        return Err(RunError::Unsupported { reason: NO_SERVICES.to_owned(), hint: NO_SERVICES_HINT });
    }
    let spec = ContainerSpec {
        cmd: container.command.clone(),
        env: container.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        network: Network::Container(holder.container.clone()),
        ..ContainerSpec::plain(&container.image, context.session.labels("service"))
    };
    let engine = &context.engine;
    let id = engine.create(&spec).await?;
    let teardown = Teardown::new(context, &id);
    let attached = engine.attach(&id, false).await?;
    let log = Arc::new(Mutex::new(Log::default()));
    let (mut output, kept) = (attached.output, log.clone());
    tokio::spawn(async move {
        while let Some(Ok(Output::Stdout(bytes) | Output::Stderr(bytes))) = output.next().await {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(&bytes, 0.0);
        }
    });
    holder.place_service(run, number).await?;
    engine.start(&id).await?;
    Ok((log, teardown))
}
