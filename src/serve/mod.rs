//! A local App Runner: real clients deploy to it through the AWS APIs, real containers serve behind it under the simulated
//! platform, and a deployment can fail, roll back, log and be explained.

mod api;
mod deployer;
mod edge;
mod http;
mod page;
pub(crate) mod platform;
pub(crate) mod prepare;
pub(crate) mod seed;
mod service;
pub(crate) mod shared;
pub(crate) mod store;
pub(crate) mod tale;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::holder::authority::{Pair, Signer};
use crate::run::RunError;
use crate::run::context::Context;
use crate::run::schedule::Room;
use deployer::Deployer;
use http::Front;
use platform::Platform;
use prepare::World;
use service::{Change, Interrupted, Status, Work, interrupted, maintained};
use shared::{Books, Order, Place, Shared};
use store::journal::StoreError;

/// Settings of a server.
pub(crate) struct Setup {
    /// Account, region and port.
    pub(crate) place: Place,
    /// State and logs.
    pub(crate) books: Books,
    /// What the services find around them.
    pub(crate) world: World,
    /// How the platform behaves.
    pub(crate) platform: Platform,
    /// How many instances may be deployed at a time.
    pub(crate) room: Room,
    /// Signs the names of services.
    pub(crate) authority: Pair,
}

/// Serves until `ending` becomes true. What was under way when the last server ended is over: it failed, and goes back to
/// what served before; what was running runs again.
///
/// # Errors
/// The state folder cannot be written.
pub(crate) async fn serve(
    setup: Setup,
    context: Arc<Context>,
    listener: TcpListener,
    ending: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let signer = Signer::new(&setup.authority.key).map_err(|e| RunError::host("reading the authority's key", e))?;
    let (shared, orders) = Shared::new(setup.place, setup.books);
    resume(&shared)?;
    let front = Front { shared: shared.clone(), engine: context.engine.clone(), signer };
    let mut deployer = Deployer::new(shared, context, setup.room, setup.world, setup.platform);
    deployer.maintain();
    tokio::select! {
        () = http::serve(Arc::new(front), listener) => {}
        () = deployer.run(orders, ending) => {}
    }
    Ok(())
}

/// Why a server ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// This machine's.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The state folder's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn resume(shared: &Shared) -> Result<(), StoreError> {
    let all = interrupted(&shared.books().state, shared.now_ms());
    for Interrupted { service, operation, changes } in all {
        shared.change(changes)?;
        let line = "the server ended while this was under way".to_owned();
        tale::explains(shared, &service, Some(&operation), &[line]);
        tale::fails(shared, &service, &operation, None, None);
    }
    let unfinished: Vec<Change> = {
        let books = shared.books();
        let back = books.state.services.values().filter_map(|service| maintained(&books.state, service));
        back.map(|service| Change::Service(Box::new(service))).collect()
    };
    shared.change(unfinished)?;
    let running: Vec<String> = {
        let books = shared.books();
        let running = books.state.services.values().filter(|service| service.status == Status::Running);
        running.map(|service| service.arn.clone()).collect()
    };
    for arn in running {
        shared.order(Order { arn, operation: None, work: Work::Deploy });
    }
    Ok(())
}
