//! Cases that are decided upon one after the other, some at a time: what searches run.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::alone;
use super::case::{self, Context};
use crate::model::outcome::Phase;
use crate::model::{Candidate, Case, CaseResult, ConditionSet, Service};

/// What is to be run, and for which question.
#[derive(Clone, Debug)]
pub struct Order<T> {
    /// The asker's own name for it.
    pub tag: T,
    /// The image.
    pub candidate: Candidate,
    /// The conditions.
    pub conditions: ConditionSet,
}

/// Something that happened.
pub enum Heard<T> {
    /// A case reached a phase.
    Phase(T, Phase),
    /// A case is decided.
    Result(T, Box<CaseResult>),
    /// A case broke off: a fault of ours.
    Broken,
}

/// A case that has ended; `first`: what came of it beside others, when this was its second run, alone.
struct Ended<T> {
    order: Order<T>,
    first: Option<Box<CaseResult>>,
    result: Box<CaseResult>,
}

/// Runs cases. One of class C depends on time: when it ran beside others, it is run once more, alone.
pub struct Runner<T> {
    context: Arc<Context>,
    service: Arc<Service>,
    jobs: usize,
    tasks: JoinSet<Ended<T>>,
    /// True for as long as more than one case has run at the same time.
    beside: bool,
    alone: VecDeque<(Order<T>, Box<CaseResult>)>,
    /// True while a case runs that must be alone.
    is_alone: bool,
    tell: mpsc::UnboundedSender<(T, Phase)>,
    told: mpsc::UnboundedReceiver<(T, Phase)>,
    runs: usize,
}

impl<T: Clone + Send + Sync + 'static> Runner<T> {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(context: Arc<Context>, service: Arc<Service>, jobs: usize) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let (tasks, alone) = (JoinSet::new(), VecDeque::new());
        Self { context, service, jobs, tasks, beside: false, alone, is_alone: false, tell, told, runs: 0 }
    }

    /// How many more may run at this moment.
    #[must_use]
    pub fn free(&self) -> usize {
        // What waits to be alone comes first.
        if self.alone.is_empty() && !self.is_alone { self.jobs.saturating_sub(self.tasks.len()) } else { 0 }
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
        let (context, service, tell) = (self.context.clone(), self.service.clone(), self.tell.clone());
        self.tasks.spawn(async move {
            let case = Case::new(&order.candidate.facts.reference, order.conditions.clone());
            let tag = order.tag.clone();
            let on_phase = move |phase| {
                // The asker may have ended.
                let _ = tell.send((tag.clone(), phase));
            };
            let result = case::run(&context, &service, &order.candidate, &case, &on_phase).await;
            Ended { order, first, result: Box::new(result) }
        });
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
                Some((tag, phase)) = self.told.recv() => return Some(Heard::Phase(tag, phase)),
                Some(joined) = self.tasks.join_next() => match joined {
                    Ok(Ended { order, first: None, result }) if alone::is_wanted(self.beside, &result) => {
                        self.alone.push_back((order, result));
                    }
                    Ok(Ended { order, first, result }) => {
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
