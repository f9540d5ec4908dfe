//! The holder's messages to the controller.

use tokio::sync::mpsc;

use super::protocol::FromHolder;

/// A sender of messages to the controller.
#[derive(Clone)]
pub(crate) struct Say(mpsc::UnboundedSender<FromHolder>);

impl Say {
    /// Sends messages to this channel.
    pub(crate) fn new(lines: mpsc::UnboundedSender<FromHolder>) -> Self {
        Self(lines)
    }

    /// Sends a message.
    pub(crate) fn say(&self, message: FromHolder) {
        // The receiver is gone: the end of standard input ends the holder.
        let _ = self.0.send(message);
    }
}
