//! Cases that are decided upon one after the other, some at a time: what searches run.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::alone;
use super::case::{self, Context, Listener};
use super::schedule::{self, Needs, Room};
use crate::model::outcome::Phase;
use crate::model::{Candidate, Case, CaseResult, ConditionSet, Evidence, Service};

/// What is to be run, and for which question.
#[derive(Clone, Debug)]
pub struct Order<T> {
    /// The asker's own name for it.
    pub tag: T,
    /// The image.
    pub candidate: Candidate,
    /// The conditions.
    pub conditions: ConditionSet,
    /// True: it is told, too, what comes of it if nothing more happens, once it is healthy.
    pub so_far: bool,
}

/// Something that happened.
pub enum Heard<T> {
    /// A case reached a phase.
    Phase(T, Phase),
    /// A case is healthy, and this comes of it if nothing more happens.
    Healthy(Box<CaseResult>),
    /// A case is decided.
    Result(T, Box<CaseResult>),
    /// A case broke off: a fault of ours.
    Broken,
}

/// A run under way.
struct Running {
    image: String,
    conditions: ConditionSet,
    /// The furthest that it has reached.
    phase: Phase,
}

/// A case that has ended; `first`: what came of it beside others, when this was its second run, alone.
struct Ended<T> {
    run: usize,
    order: Order<T>,
    first: Option<Box<CaseResult>>,
    result: Box<CaseResult>,
}

/// Runs cases. One of class C depends on time: when it ran beside others, it is run once more, alone.
pub struct Runner<T> {
    context: Arc<Context>,
    service: Arc<Service>,
    room: Room,
    tasks: JoinSet<Ended<T>>,
    /// True for as long as more than one case has run at the same time.
    beside: bool,
    alone: VecDeque<(Order<T>, Box<CaseResult>)>,
    /// True while a case runs that must be alone.
    is_alone: bool,
    tell: mpsc::UnboundedSender<(usize, Heard<T>)>,
    told: mpsc::UnboundedReceiver<(usize, Heard<T>)>,
    /// The runs under way, by their number.
    running: BTreeMap<usize, Running>,
    needs: Needs,
    /// True once a candidate was seen to ask for a name or to connect: before, none is thought to wait for the network.
    meets_network: bool,
    runs: usize,
}

impl<T: Clone + Send + Sync + 'static> Runner<T> {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(context: Arc<Context>, service: Arc<Service>, room: Room) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self {
            context,
            service,
            room,
            tasks: JoinSet::new(),
            beside: false,
            alone: VecDeque::new(),
            is_alone: false,
            tell,
            told,
            running: BTreeMap::new(),
            needs: Needs::default(),
            meets_network: false,
            runs: 0,
        }
    }

    /// How many more may run at this moment.
    #[must_use]
    pub fn free(&self) -> usize {
        // What waits to be alone comes first.
        if !self.alone.is_empty() || self.is_alone {
            return 0;
        }
        let taken: f64 = self.running.values().map(|run| self.load(run)).sum();
        let slots = (self.room.jobs as f64 - taken + 1e-9).max(0.0) as usize;
        slots.min(self.room.most.saturating_sub(self.running.len())).min(self.fitting())
    }

    fn load(&self, run: &Running) -> f64 {
        let met = run.conditions.iter().filter(|c| self.meets_network || !c.is_of_network()).cloned();
        schedule::load(&ConditionSet::new(met).unwrap_or_default(), run.phase)
    }

    /// How many more the memory of the machine has room for; one always runs, whatever it needs.
    fn fitting(&self) -> usize {
        let Some(all) = self.room.memory else { return usize::MAX };
        let need = |run: &Running| self.needs.of(&run.image, &run.conditions);
        let left = all.saturating_sub(self.running.values().map(need).sum());
        let each = self.needs.largest().max(1);
        usize::try_from(left / each).unwrap_or(usize::MAX).max(usize::from(self.running.is_empty()))
    }

    /// True when nothing runs and nothing waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.alone.is_empty()
    }

    /// Cases that were begun so far; one that was run once more counts twice.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// Begins a case.
    pub fn start(&mut self, order: Order<T>) {
        self.beside &= !self.tasks.is_empty();
        self.begin(order, None);
        self.beside |= self.tasks.len() > 1;
    }

    fn begin(&mut self, order: Order<T>, first: Option<Box<CaseResult>>) {
        self.runs += 1;
        let run = self.runs;
        let (image, conditions) = (order.candidate.facts.reference.clone(), order.conditions.clone());
        self.running.insert(run, Running { image, conditions, phase: Phase::Prepare });
        let (context, service, tell) = (self.context.clone(), self.service.clone(), self.tell.clone());
        self.tasks.spawn(async move {
            let case = Case::new(&order.candidate.facts.reference, order.conditions.clone());
            // The asker may have ended.
            let say = |heard| drop(tell.send((run, heard)));
            let phase = |phase| say(Heard::Phase(order.tag.clone(), phase));
            let healthy = |result| say(Heard::Healthy(Box::new(result)));
            // What must be run alone may come out differently.
            let is_told = order.so_far && first.is_none();
            let listener = Listener { phase: &phase, healthy: is_told.then_some(&healthy) };
            let result = case::run(&context, &service, &order.candidate, &case, listener).await;
            Ended { run, order, first, result: Box::new(result) }
        });
    }

    fn ended(&mut self, run: usize, result: &CaseResult) {
        self.running.remove(&run);
        self.needs.saw(result);
        self.saw(&result.evidence);
    }

    fn saw(&mut self, evidence: &Evidence) {
        self.meets_network |= evidence.outbound().next().is_some() || evidence.questions().next().is_some();
    }

    /// The next thing that happens; nothing when nothing runs.
    pub async fn next(&mut self) -> Option<Heard<T>> {
        loop {
            if self.tasks.is_empty() {
                self.beside = false;
                let (order, first) = self.alone.pop_front()?;
                tracing::debug!(conditions = %order.conditions, before = first.cell(), "once more, alone");
                self.is_alone = true;
                self.begin(order, Some(first));
            }
            tokio::select! {
                biased;
                Some((run, heard)) = self.told.recv() => {
                    if let (Heard::Phase(_, phase), Some(running)) = (&heard, self.running.get_mut(&run)) {
                        running.phase = *phase;
                    }
                    if let Heard::Healthy(result) = &heard {
                        self.saw(&result.evidence);
                    }
                    return Some(heard);
                }
                Some(joined) = self.tasks.join_next() => match joined {
                    Ok(Ended { run, order, first: None, result }) if alone::is_wanted(self.beside, &result) => {
                        self.ended(run, &result);
                        self.alone.push_back((order, result));
                    }
                    Ok(Ended { run, order, first, result }) => {
                        self.ended(run, &result);
                        // Nothing else ran beside one that was alone.
                        self.is_alone = false;
                        let stands = match first {
                            Some(first) => alone::stands(first, result),
                            None => alone::unless_starved(result),
                        };
                        return Some(Heard::Result(order.tag, stands));
                    }
                    Err(e) if e.is_panic() => {
                        self.is_alone = false;
                        return Some(Heard::Broken);
                    }
                    Err(_) => {}
                },
            }
        }
    }

    /// Ends what runs, without a result.
    pub async fn stop(&mut self) {
        self.alone.clear();
        self.tasks.shutdown().await;
    }
}
