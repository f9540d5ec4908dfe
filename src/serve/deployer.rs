//! Carries out operations: starts instances as jobs of the executor, leads requests to them when they are healthy, stops the
//! ones before, and writes what App Runner would write.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::platform::Platform;
use super::prepare::{NotPrepared, Prepared, World, local_names, prepare};
use super::service::settings::{deploys_by_itself, image};
use super::service::{
    Change, Ended, Operation, Service, State, Status, Work, deploy, end, maintained, maintenance, rolling_back, serving,
};
use super::shared::{Order, Shared, Way, new_id};
use super::tale;
use crate::model::outcome::FailureClass;
use crate::model::{CaseResult, ImageId, Verdict};
use crate::run::RunError;
use crate::run::context::Context;
use crate::run::executor::{Executor, Job, JobId, Message};
use crate::run::lease::{self, Lease, Told};
use crate::run::schedule::Room;

/// Requests under way on an instance that is replaced have this long (the platform's limit of a request).
const DRAIN_WITHIN: Duration = Duration::from_secs(120);
/// Pause before an instance that died is replaced, and its limit: doubled each time.
const REPLACE_AFTER: Duration = Duration::from_secs(1);
const REPLACE_MOST: Duration = Duration::from_secs(60);

/// An instance's number.
type Number = u64;

/// An instance of a service.
struct Instance {
    arn: String,
    /// Where its lines are written.
    group: String,
    stream: String,
    /// The operation that started it; `None` for one that replaces another.
    operation: Option<Operation>,
    /// The image that it runs.
    image: ImageId,
    release: watch::Sender<bool>,
    stage: Stage,
}

/// How far an instance is.
enum Stage {
    /// It is not healthy yet.
    Starting,
    /// Requests go to it. The receiver hears of the end of the last one once no more do.
    Serving(mpsc::Receiver<Infallible>),
    /// Another one took its place; it answers what it was asked before.
    Leaving,
}

impl Instance {
    fn serves(&self) -> bool {
        matches!(self.stage, Stage::Serving(_))
    }
}

/// An instance in place of one that died.
struct Replacement {
    /// When it starts; `None` if it has.
    due: Option<Instant>,
    /// The pause before it.
    pause: Duration,
}

/// Something that went on in the background.
enum Step {
    /// A deployment is prepared.
    Prepared { arn: String, operation: Option<Operation>, result: Result<Box<Prepared>, NotPrepared> },
    /// The way to an instance is open.
    Opened { number: Number, way: Result<(Way, mpsc::Receiver<Infallible>), RunError> },
    /// An instance has no more requests under way.
    Drained(Number),
    /// The platform noticed that a deployment failed.
    Failed { arn: String, operation: Operation, class: Option<FailureClass>, exit_code: Option<i64> },
    /// The version before a deployment that failed serves.
    Restored { arn: String, operation: Operation },
    /// Maintenance is over.
    Maintained,
    /// An image with a name that services deploy.
    Named { arns: Vec<String>, image: Option<ImageId> },
}

/// Carries out orders until the sender of `ending` is dropped or sends true.
pub(crate) struct Deployer {
    shared: Arc<Shared>,
    context: Arc<Context>,
    executor: Executor,
    world: Arc<World>,
    platform: Platform,
    instances: BTreeMap<Number, Instance>,
    jobs: BTreeMap<JobId, Number>,
    /// Pauses and deletions that wait for the end of instances.
    stopping: BTreeMap<String, Operation>,
    /// Services whose instance died.
    replaced: BTreeMap<String, Replacement>,
    tell: mpsc::UnboundedSender<(Number, Told)>,
    told: mpsc::UnboundedReceiver<(Number, Told)>,
    steps: JoinSet<Step>,
    last: Number,
}

impl Deployer {
    /// A deployer without instances.
    #[must_use]
    pub(crate) fn new(
        shared: Arc<Shared>,
        context: Arc<Context>,
        room: Room,
        world: World,
        platform: Platform,
    ) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self {
            executor: Executor::new(context.clone(), room, true),
            shared,
            context,
            world: Arc::new(world),
            platform,
            instances: BTreeMap::new(),
            jobs: BTreeMap::new(),
            stopping: BTreeMap::new(),
            replaced: BTreeMap::new(),
            tell,
            told,
            steps: JoinSet::new(),
            last: 0,
        }
    }

    /// Begins with maintenance, if the platform does. During it running services serve and no call changes them
    /// (<https://docs.aws.amazon.com/apprunner/latest/dg/architecture.html>).
    pub(crate) fn maintain(&mut self) {
        let Some(length) = self.platform.maintenance else { return };
        self.change_each(maintenance);
        self.steps.spawn(async move {
            sleep(length).await;
            Step::Maintained
        });
    }

    /// Changes every service for which there is a change.
    fn change_each(&self, change: impl Fn(&State, &Service) -> Option<Service>) {
        let changed: Vec<Service> = {
            let books = self.shared.books();
            books.state.services.values().filter_map(|service| change(&books.state, service)).collect()
        };
        for service in changed {
            tale::status(&self.shared, &service);
            self.write(vec![Change::Service(Box::new(service))]);
        }
    }

    /// Carries out orders until there are no more.
    pub(crate) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>, mut ending: watch::Receiver<bool>) {
        let mut names = self.context.engine.image_names().fuse();
        loop {
            let due = self.replaced.values().filter_map(|replacement| replacement.due).min();
            let is_due = due.is_some();
            let due = due.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                _ = ending.wait_for(|ending| *ending) => break,
                Some((number, told)) = self.told.recv() => self.on_told(number, told),
                Some((job, message)) = self.executor.next(), if !self.executor.is_idle() => {
                    self.on_message(job, message);
                }
                Some(step) = self.steps.join_next() => match step {
                    Ok(step) => self.on_step(step),
                    Err(error) => tracing::error!(%error, "a step of a deployment broke"),
                },
                Some(order) = orders.recv() => self.begin(order),
                Some(name) = names.next() => match name {
                    Ok(name) => self.on_name(&name),
                    Err(error) => tracing::warn!(%error, "new images start no deployments any more"),
                },
                () = sleep_until(due), if is_due => self.replace_dead(),
            }
        }
        self.executor.abort().await;
    }

    fn service(&self, arn: &str) -> Option<Service> {
        self.shared.books().state.services.get(arn).cloned()
    }

    fn begin(&mut self, Order { arn, operation, work }: Order) {
        let Some(service) = self.service(&arn) else { return };
        match work {
            Work::Nothing => {}
            Work::Deploy => {
                if let Some(operation) = &operation {
                    tale::begins(&self.shared, &service, operation);
                }
                self.prepare(&service, operation);
            }
            Work::Stop => {
                if let Some(operation) = operation {
                    tale::begins(&self.shared, &service, &operation);
                    self.stopping.insert(arn.clone(), operation);
                }
                self.replaced.remove(&arn);
                self.shared.lead(&service.url, None);
                let of_service = self.instances.values().filter(|instance| instance.arn == arn);
                of_service.for_each(|instance| _ = instance.release.send_replace(true));
                self.finish_stopping(&arn);
            }
        }
    }

    /// When a step of an operation is due that comes so long after its start.
    fn due(&self, operation: &Operation, after: Duration) -> Instant {
        self.shared.instant(operation.started_ms) + after
    }

    /// Prepares an instance: of the new configuration for an operation, else of the one that serves.
    fn prepare(&mut self, service: &Service, operation: Option<Operation>) {
        let settings = if operation.is_some() { service.settings.clone() } else { serving(service).clone() };
        let (engine, world) = (self.context.engine.clone(), self.world.clone());
        let (arn, name) = (service.arn.clone(), service.name.clone());
        let due = operation.as_ref().map(|operation| self.due(operation, self.platform.pace.provisioned));
        self.steps.spawn(async move {
            let result = prepare(engine.as_ref(), &name, &settings, &world).await;
            if let Some(due) = due {
                sleep_until(due).await;
            }
            Step::Prepared { arn, operation, result: result.map(Box::new) }
        });
    }

    fn on_step(&mut self, step: Step) {
        match step {
            Step::Prepared { arn, operation, result } => self.on_prepared(&arn, operation, result),
            Step::Opened { number, way } => self.on_opened(number, way),
            Step::Named { arns, image } => self.deploy_new(&arns, image.as_ref()),
            Step::Failed { arn, operation, class, exit_code } => self.on_failed(&arn, operation, class, exit_code),
            Step::Restored { arn, operation } => {
                if let Some(service) = self.service(&arn) {
                    self.finish(&service, &operation, Ended::Badly);
                }
            }
            Step::Maintained => self.change_each(maintained),
            Step::Drained(number) => {
                if let Some(instance) = self.instances.get(&number) {
                    instance.release.send_replace(true);
                }
            }
        }
    }

    /// An image got a name: services that deploy what has that name, and are told to do so by themselves, look at it.
    fn on_name(&mut self, name: &str) {
        let of_name = |service: &&Service| {
            service.status == Status::Running
                && deploys_by_itself(&service.settings)
                && image(&service.settings).is_some_and(|image| local_names(image).iter().any(|known| known == name))
        };
        let arns: Vec<String> =
            self.shared.books().state.services.values().filter(of_name).map(|service| service.arn.clone()).collect();
        if arns.is_empty() {
            return;
        }
        let (engine, name) = (self.context.engine.clone(), name.to_owned());
        self.steps.spawn(async move {
            let facts = engine.inspect_image(&name).await;
            Step::Named { arns, image: facts.ok().map(|facts| facts.id) }
        });
    }

    /// Starts a deployment of each service that runs another image than this, as a push does there.
    fn deploy_new(&mut self, arns: &[String], image: Option<&ImageId>) {
        for arn in arns {
            let serving = self.instances.values().find(|instance| instance.arn == *arn && instance.serves());
            if serving.is_none_or(|instance| Some(&instance.image) == image) {
                continue;
            }
            // Refused if another operation came first.
            if let Err(error) = self.shared.carry_out(|state| deploy(state.find(arn)?, &self.shared.stamp())) {
                tracing::debug!(%error, "a new image is not deployed");
            }
        }
    }

    fn on_prepared(&mut self, arn: &str, operation: Option<Operation>, result: Result<Box<Prepared>, NotPrepared>) {
        let Some(service) = self.service(arn) else { return };
        if operation.is_none() && !matches!(service.status, Status::Running | Status::OperationInProgress)
            || self.stopping.contains_key(arn)
        {
            return;
        }
        let prepared = match result {
            Ok(prepared) => prepared,
            Err(error) => {
                tale::explains(&self.shared, &service, operation.as_ref(), &[error.to_string()]);
                // An engine that failed says nothing about the image.
                let class = matches!(error, NotPrepared::Refused(_)).then_some(FailureClass::A);
                match operation {
                    Some(operation) => self.fail(arn, &operation, class, None),
                    None => self.replace_later(arn),
                }
                return;
            }
        };
        if let Some(operation) = &operation {
            tale::provisions(&self.shared, &service, operation);
            let mut lines = vec![format!("imposed: {}", prepared.case.conditions)];
            lines.extend(prepared.notes.iter().map(|note| format!("note: {note}")));
            tale::explains(&self.shared, &service, Some(operation), &lines);
        }
        self.last += 1;
        let number = self.last;
        let (release, released) = watch::channel(false);
        let tell = self.tell.clone();
        // The deployer outlives its instances.
        let tell = move |told| drop(tell.send((number, told)));
        let job = Job {
            candidate: prepared.candidate.clone(),
            service: Arc::new(prepared.service.clone()),
            case: prepared.case.clone(),
            provisional: false,
            again: false,
            lease: Some(Lease::new(released, tell)),
        };
        let job = self.executor.start(job);
        self.jobs.insert(job, number);
        let instance = Instance {
            arn: arn.to_owned(),
            group: tale::application(&service),
            stream: format!("instance/{}", new_id()),
            operation,
            image: prepared.candidate.facts.id.clone(),
            release,
            stage: Stage::Starting,
        };
        self.instances.insert(number, instance);
    }

    fn on_told(&mut self, number: Number, told: Told) {
        let Some(instance) = self.instances.get(&number) else { return };
        match told {
            Told::Line(line) => {
                self.shared.log(&instance.group, &instance.stream, [line]);
            }
            Told::Sent(request) => {
                if let Some(service) = self.service(&instance.arn) {
                    tale::sent(&self.shared, &service, &request);
                }
            }
            Told::Serving(holder) => {
                let engine = self.context.engine.clone();
                let due = instance.operation.as_ref().map(|operation| self.due(operation, self.platform.pace.serves));
                self.steps.spawn(async move {
                    if let Some(due) = due {
                        sleep_until(due).await;
                    }
                    let way = lease::open(engine.as_ref(), &holder).await;
                    let (busy, idle) = mpsc::channel(1);
                    Step::Opened { number, way: way.map(|sender| (Way { sender, busy }, idle)) }
                });
            }
        }
    }

    fn on_opened(&mut self, number: Number, way: Result<(Way, mpsc::Receiver<Infallible>), RunError>) {
        let Some(arn) = self.instances.get(&number).map(|instance| instance.arn.clone()) else { return };
        let Some(service) = self.service(&arn) else { return };
        // One that took its time may come after one that was started later.
        let is_late = self.instances.range(number + 1..).any(|(_, newer)| newer.arn == arn && newer.serves());
        let Some(instance) = self.instances.get_mut(&number) else { return };
        if is_late {
            instance.release.send_replace(true);
        }
        if *instance.release.borrow() {
            return;
        }
        let operation = instance.operation.clone();
        let (way, idle) = match way {
            Ok(opened) => opened,
            Err(error) => {
                instance.release.send_replace(true);
                tale::explains(&self.shared, &service, operation.as_ref(), &[error.to_string()]);
                if let Some(operation) = operation {
                    self.fail(&arn, &operation, None, None);
                }
                return;
            }
        };
        instance.stage = Stage::Serving(idle);
        self.replaced.remove(&arn);
        // Requests under way keep their way; no new one takes it.
        drop(self.shared.lead(&service.url, Some(way)));
        for (&old, instance) in self.instances.range_mut(..number).filter(|(_, old)| old.arn == arn) {
            match std::mem::replace(&mut instance.stage, Stage::Leaving) {
                Stage::Serving(mut idle) => drop(self.steps.spawn(async move {
                    drop(timeout(DRAIN_WITHIN, idle.recv()).await);
                    Step::Drained(old)
                })),
                Stage::Starting => _ = instance.release.send_replace(true),
                Stage::Leaving => {}
            }
        }
        if let Some(operation) = operation {
            tale::succeeds(&self.shared, &service, &operation);
            self.finish(&service, &operation, Ended::Well);
        }
    }

    fn on_message(&mut self, job: JobId, message: Message) {
        let result = match message {
            Message::Finished(result) => Some(result),
            Message::Broken => None,
            _ => return,
        };
        let Some(number) = self.jobs.remove(&job) else { return };
        // What it wrote last comes before its end.
        while let Ok((number, told)) = self.told.try_recv() {
            self.on_told(number, told);
        }
        let Some(instance) = self.instances.remove(&number) else { return };
        let Some(service) = self.service(&instance.arn) else { return };
        match instance.stage {
            _ if *instance.release.borrow() => {}
            Stage::Serving(_) => {
                self.shared.lead(&service.url, None);
                self.replace_later(&instance.arn);
            }
            Stage::Starting => self.never_served(&service, &instance, result.as_deref()),
            Stage::Leaving => {}
        }
        self.finish_stopping(&instance.arn);
    }

    /// An instance that ended before it served.
    fn never_served(&mut self, service: &Service, instance: &Instance, result: Option<&CaseResult>) {
        let lines = match result {
            Some(result) => tale::diagnosis(result),
            None => vec!["exitone broke while it ran this: please report it".to_owned()],
        };
        tale::explains(&self.shared, service, instance.operation.as_ref(), &lines);
        match &instance.operation {
            Some(operation) => {
                let failed = result.filter(|result| result.verdict == Verdict::Fail);
                let class = failed.and_then(|result| result.class);
                self.fail(&service.arn, operation, class, failed.and_then(|result| result.exit_code));
            }
            None => self.replace_later(&instance.arn),
        }
    }

    /// Ends an operation whose instance does not serve, when the platform would notice. Without a class, something but the
    /// image failed.
    fn fail(&mut self, arn: &str, operation: &Operation, class: Option<FailureClass>, exit_code: Option<i64>) {
        let due = self.due(operation, self.platform.pace.failed(class));
        let (arn, operation) = (arn.to_owned(), operation.clone());
        self.steps.spawn(async move {
            sleep_until(due).await;
            Step::Failed { arn, operation, class, exit_code }
        });
    }

    fn on_failed(&mut self, arn: &str, operation: Operation, class: Option<FailureClass>, exit_code: Option<i64>) {
        let Some(service) = self.service(arn) else { return };
        tale::fails(&self.shared, &service, &operation, class, exit_code);
        if service.before.is_none() {
            return self.finish(&service, &operation, Ended::Badly);
        }
        self.write(vec![rolling_back(&service, &operation, self.shared.now_ms())]);
        let (arn, restored) = (arn.to_owned(), self.platform.pace.restored);
        self.steps.spawn(async move {
            sleep(restored).await;
            Step::Restored { arn, operation }
        });
    }

    fn finish(&self, service: &Service, operation: &Operation, ended: Ended) {
        self.write(end(service, operation, ended, self.shared.now_ms()));
        if let Some(service) = self.service(&service.arn) {
            tale::status(&self.shared, &service);
        }
    }

    fn write(&self, changes: Vec<Change>) {
        if let Err(error) = self.shared.change(changes) {
            tracing::error!(%error, "the end of an operation is not written down");
        }
    }

    /// Ends a pause or a deletion when no instance is left.
    fn finish_stopping(&mut self, arn: &str) {
        if self.instances.values().any(|instance| instance.arn == arn) {
            return;
        }
        if let Some(operation) = self.stopping.remove(arn)
            && let Some(service) = self.service(arn)
        {
            let fails = {
                let books = self.shared.books();
                self.platform.fails(&operation, books.state.operations.get(arn).map_or(&[], Vec::as_slice))
            };
            if fails {
                let line = "this deletion fails because of --fail-delete: the next one succeeds".to_owned();
                tale::explains(&self.shared, &service, Some(&operation), &[line]);
            }
            self.finish(&service, &operation, if fails { Ended::Badly } else { Ended::Well });
        }
    }

    fn replace_later(&mut self, arn: &str) {
        let pause = self.replaced.get(arn).map_or(REPLACE_AFTER, |before| (before.pause * 2).min(REPLACE_MOST));
        self.replaced.insert(arn.to_owned(), Replacement { due: Some(Instant::now() + pause), pause });
    }

    /// Starts instances in place of those that died.
    fn replace_dead(&mut self) {
        let now = Instant::now();
        let due = self.replaced.iter_mut().filter(|(_, replacement)| replacement.due.is_some_and(|due| due <= now));
        let due: Vec<String> = due
            .map(|(arn, replacement)| {
                replacement.due = None;
                arn.clone()
            })
            .collect();
        for arn in due {
            if let Some(service) = self.service(&arn)
                && !self.stopping.contains_key(&arn)
            {
                self.prepare(&service, None);
            }
        }
    }
}
