//! What a holder says: lines to the controller.

use tokio::sync::mpsc;

use super::protocol::FromHolder;

/// Lines to the controller.
#[derive(Clone)]
pub(crate) struct Say(mpsc::UnboundedSender<FromHolder>);

impl Say {
    /// Lines go here.
    pub(crate) fn new(lines: mpsc::UnboundedSender<FromHolder>) -> Self {
        Self(lines)
    }

    /// Sends a line.
    pub(crate) fn say(&self, message: FromHolder) {
        // Nobody listens any more: the end of standard input ends the holder.
        let _ = self.0.send(message);
    }
}
