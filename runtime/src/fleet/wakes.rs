//! What an engine tells the calls of this process.

use std::fmt;
use std::sync::Weak;

use super::engine::Token;
use super::hub::Hub;

/// Where an [`Engine`](super::Engine) says what it hears. Cheap to clone. It keeps nothing alive: when the last
/// [`Fleet`](super::Fleet) of an engine is gone, [`is_needed`](Self::is_needed) is false.
#[derive(Clone)]
pub struct Wakes(pub(crate) Weak<Hub>);

impl Wakes {
    /// The store can be reached, and this process receives wake-ups. Calls use it from now on, and those that were waiting
    /// look again.
    pub fn up(&self) {
        if let Some(hub) = self.0.upgrade() {
            hub.up();
        }
    }

    /// The store can't be reached. New calls don't try.
    pub fn down(&self) {
        if let Some(hub) = self.0.upgrade() {
            hub.down();
        }
    }

    /// An execution that this process waits for has landed.
    pub fn landed(&self, token: Token) {
        if let Some(hub) = self.0.upgrade() {
            hub.landed(token);
        }
    }

    /// New calls don't join this execution.
    pub fn forgotten(&self, token: Token) {
        if let Some(hub) = self.0.upgrade() {
            hub.forgotten(token);
        }
    }

    /// Whether anybody can still be told.
    pub fn is_needed(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl fmt::Debug for Wakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wakes")
    }
}
