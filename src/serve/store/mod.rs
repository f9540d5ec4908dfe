//! What outlives the server: a journal of changes, and the logs.

pub(crate) mod journal;
pub(crate) mod logs;
