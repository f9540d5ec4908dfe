//! The ends of containers, and their states then, from the engine's events.

use std::collections::HashMap;

use bollard::models::EventMessage;

use crate::engine::{ContainerState, EngineEvent};

/// Containers that have not ended.
#[derive(Default)]
pub(super) struct Running(HashMap<String, ContainerState>);

impl Running {
    /// Takes an event in; returns the end of a container.
    pub(super) fn on(&mut self, event: EventMessage) -> Option<EngineEvent> {
        let actor = event.actor?;
        let id = actor.id?;
        let at_us = event.time_nano.map(|nanoseconds| nanoseconds / 1000);
        match event.action?.as_str() {
            "start" => {
                self.0.insert(id, ContainerState { running: true, started_at_us: at_us, ..ContainerState::default() });
            }
            "oom" => {
                if let Some(state) = self.0.get_mut(&id) {
                    state.oom_killed = true;
                }
            }
            "die" => {
                let exit_code = actor.attributes.and_then(|of| of.get("exitCode")?.parse().ok());
                let state = self.0.remove(&id).zip(exit_code).map(|(state, exit_code)| ContainerState {
                    running: false,
                    exit_code,
                    finished_at_us: at_us,
                    ..state
                });
                return Some(EngineEvent::Died { id, state });
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::EventActor;

    use super::*;

    fn event(action: &str, at_us: i64, exit_code: Option<&str>) -> EventMessage {
        let attributes = exit_code.map(|code| HashMap::from([("exitCode".to_owned(), code.to_owned())]));
        EventMessage {
            action: Some(action.to_owned()),
            actor: Some(EventActor { id: Some("a".to_owned()), attributes }),
            time_nano: Some(at_us * 1000),
            ..EventMessage::default()
        }
    }

    fn end(events: &[EventMessage]) -> Option<ContainerState> {
        let mut running = Running::default();
        let ends: Vec<_> = events.iter().cloned().filter_map(|event| running.on(event)).collect();
        let [EngineEvent::Died { id, state }] = ends.as_slice() else { panic!("one end: {ends:?}") };
        assert_eq!(id, "a");
        state.clone()
    }

    #[test]
    fn state_at_the_end_is_told_by_events() {
        let (start, die) = (event("start", 5, None), event("die", 9, Some("137")));
        let state = end(&[start.clone(), die.clone()]).expect("told");
        assert_eq!((state.running, state.exit_code, state.oom_killed), (false, 137, false));
        assert_eq!((state.started_at_us, state.finished_at_us), (Some(5), Some(9)));
        assert!(end(&[start.clone(), event("oom", 8, None), die.clone()]).expect("told").oom_killed);
        // Without one of them, the engine has to be asked.
        assert_eq!(end(&[die]), None);
        assert_eq!(end(&[start, event("die", 9, None)]), None);
    }
}
