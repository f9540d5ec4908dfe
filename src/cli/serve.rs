//! `exitone serve`: a local App Runner.

mod clients;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;

use super::console::{print, say};
use super::failure::Failure;
use super::flags::{Common, Running, duration};
use super::input::{read_compose, read_env, read_text};
use super::session::{close, engine, open, room};
use super::signals::Signals;
use crate::holder::authority::new_authority;
use crate::holder::protocol::Sent;
use crate::run::session::state_dir;
use crate::serve::platform::{Pace, Platform};
use crate::serve::prepare::World;
use crate::serve::seed::{self, Seed};
use crate::serve::shared::{Books, Place};
use crate::serve::store::journal::StoreError;
use crate::serve::store::logs::Logs;
use crate::serve::tale::OUTBOX;
use crate::serve::{ServeError, Setup, serve};

pub(crate) const ABOUT: &str = "Serve a local App Runner that AWS clients deploy to\n\n\
    The server answers the App Runner API and what goes with it of CloudWatch Logs, ECR and STS on one port of this \
    machine. A deployment starts a real container under the simulated platform: it can fail, roll back, log and be \
    explained. Images are taken from the engine by the name in ImageIdentifier, with or without the registry in front.\n\n\
    eval \"$(exitone serve --print-env)\"\n\
    exitone serve --seed service.json\n\
    aws apprunner list-services";

/// The account of a server without a seed.
const ACCOUNT: &str = "000000000000";
/// How long an instance may run before another takes its place.
const LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// Arguments of `serve`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Port to listen on (127.0.0.1 only)
    #[arg(long, value_name = "PORT", default_value_t = 8765)]
    port: u16,
    /// Start with the service that `aws apprunner describe-service` printed, under its own ARN
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Env file with the values of secrets (NAME=VALUE lines)
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Compose file whose services with an image run beside every instance
    #[arg(long, value_name = "FILE")]
    compose: Option<PathBuf>,
    /// VPCs have a NAT gateway: egress through them reaches the internet
    #[arg(long)]
    nat: bool,
    /// Folder that keeps services, operations and logs across restarts [default: in the state folder]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Custom domain of the seed's service; may be repeated
    #[arg(long, value_name = "HOST", requires = "seed", value_parser = clients::domain)]
    domain: Vec<String>,
    /// Region of the services [default: the seed's, or us-east-1]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// How long deployments take
    #[arg(long, value_name = "PACE", value_enum, default_value_t = PaceChoice::Fast)]
    pace: PaceChoice,
    /// The first deletion of each service fails, and leaves it DELETE_FAILED
    #[arg(long)]
    fail_delete: bool,
    /// Begin with maintenance of this length: services run, and calls that change them are refused
    #[arg(long, value_name = "TIME", value_parser = duration)]
    maintenance: Option<Duration>,
    /// Print what the services sent to others, and exit
    #[arg(long)]
    outbox: bool,
    /// Print the environment with which AWS clients use this server, and exit
    #[arg(long)]
    print_env: bool,
    #[command(flatten)]
    running: Running,
}

/// How long deployments take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum PaceChoice {
    /// As long as the container needs
    Fast,
    /// As long as on App Runner: minutes
    Real,
}

/// Runs the command.
///
/// # Errors
/// A file, the state folder, the port, the engine.
pub(crate) async fn execute(_: &Common, mut args: Args) -> Result<u8, Failure> {
    let folder = args.state.clone().unwrap_or_else(|| state_dir().join("serve"));
    let seed = args.seed.as_deref().map(read_seed).transpose()?;
    let region = args.region.clone().or_else(|| seed.as_ref().map(|seed| seed.region.clone()));
    let place = Place {
        account: seed.as_ref().map_or_else(|| ACCOUNT.to_owned(), |seed| seed.account.clone()),
        region: region.unwrap_or_else(|| "us-east-1".to_owned()),
        port: args.port,
        domains: seed.iter().flat_map(|seed| args.domain.iter().map(|host| (host.clone(), seed.arn.clone()))).collect(),
    };
    if args.print_env {
        print(&clients::environment(&place, &folder))?;
        return Ok(0);
    }
    if args.outbox {
        print(&outbox(&folder)?)?;
        return Ok(0);
    }
    args.running.own.install()?;
    args.running.lifetime = Some(LIFETIME);
    let compose = args.compose.as_deref().map(read_compose).transpose()?;
    let world = World {
        secrets: args.env_file.as_deref().map(read_env).transpose()?.unwrap_or_default(),
        nat: args.nat.then_some(true),
        upstreams: compose.map(|compose| compose.upstreams).unwrap_or_default(),
    };
    let platform = Platform {
        pace: if args.pace == PaceChoice::Real { Pace::REAL } else { Pace::default() },
        fails_deletions: args.fail_delete,
        maintenance: args.maintenance,
    };
    let listener = listen(args.port).await?;
    let mut books = Books::open(&folder)?;
    if let Some(seed) = &seed
        && !books.state.services.contains_key(&seed.arn)
    {
        books.change(seed.changes.clone())?;
    }
    let authority = new_authority().map_err(|e| Failure::internal(format!("making a certificate: {e}")))?;
    clients::write_authority(&folder, &authority.cert)?;
    let own = books.state.services.values().map(|service| format!("{}.awsapprunner.com", service.url));
    clients::write_curl(&folder, place.port, own.chain(place.domains.keys().cloned()))?;
    let signals = Signals::listen();
    let (engine, info) = engine().await?;
    let room = room(&args.running, &info);
    let rig = signals.unless_asked(open(&args.running, engine, &info, room.most, false)).await??;
    let ready = format!(
        "App Runner for {} in {} on http://127.0.0.1:{}\nAWS clients: eval \"$(exitone serve --print-env --port {})\"",
        place.account, place.region, place.port, place.port
    );
    say(&ready);
    let setup = Setup { place, books, world, platform, room, authority };
    let (end, ending) = tokio::sync::watch::channel(false);
    let context = rig.context.clone();
    let mut asked = signals.asked();
    let served = tokio::select! {
        served = serve(setup, context, listener, ending) => served,
        _ = asked.changed() => Ok(()),
    };
    drop(end);
    close(rig, &signals, true).await;
    served?;
    Ok(0)
}

async fn listen(port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|e| {
        let failure = Failure::usage(format!("cannot listen on 127.0.0.1:{port}: {e}"));
        failure.with_hint("Stop what has that port, or pass another one with --port.")
    })
}

fn read_seed(path: &Path) -> Result<Seed, Failure> {
    let text = read_text(path)?;
    let now = jiff::Timestamp::now().as_millisecond();
    seed::read(&text, now).map_err(|problem| {
        let failure =
            Failure::file(format!("{}: not the output of `aws apprunner describe-service`: {problem}", path.display()));
        failure.with_hint("aws apprunner describe-service --service-arn ARN > service.json")
    })
}

/// The requests that services sent to others, a line each: time, service, request, body.
fn outbox(folder: &Path) -> Result<String, Failure> {
    let logs = Logs::look(folder)?;
    let mut sent = Vec::new();
    for (group, _) in logs.groups("/aws/apprunner/") {
        let name = group.split('/').nth(3).unwrap_or_default();
        for event in logs.read_all(group, OUTBOX)? {
            sent.push((event.at_ms, name, event.message));
        }
    }
    sent.sort();
    let mut text = String::new();
    for (at_ms, name, message) in sent {
        let request: Sent = serde_json::from_str(&message).map_err(|e| Failure::internal(e.to_string()))?;
        let at = jiff::Timestamp::from_millisecond(at_ms).map(|at| at.to_string()).unwrap_or_default();
        let Sent { method, host, path, body, status, .. } = request;
        text.push_str(&format!("{at}  {name}  {method} {host}{path}  {status}  {body}\n"));
    }
    Ok(text)
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = error.hint();
        Self::file(error.to_string()).with_hint(hint)
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Run(error) => error.into(),
            ServeError::Store(error) => error.into(),
        }
    }
}
