//! What an engine tells the calls of this process.

use std::fmt;
use std::sync::{Arc, Weak};

use super::token::Token;

/// What an engine hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// [`Wakes::up`].
    Up,
    /// [`Wakes::down`].
    Down,
    /// [`Wakes::landed`].
    Landed(Token),
    /// [`Wakes::forgotten`].
    Forgotten(Token),
}

pub(crate) trait Hears: Send + Sync {
    fn hear(&self, heard: Heard);
}

/// Where an [`Engine`](super::Engine) says what it hears. Cheap to clone. It keeps nothing alive: when the last
/// [`Fleet`](super::Fleet) of an engine is gone, [`is_needed`](Self::is_needed) is false.
#[derive(Clone)]
pub struct Wakes(pub(super) Weak<dyn Hears>);

/// Keeps a function listening: see [`Wakes::to`].
pub struct Listening(#[allow(dead_code)] Arc<dyn Hears>);

struct Calls<F>(F);

impl<F: Fn(Heard) + Send + Sync> Hears for Calls<F> {
    fn hear(&self, heard: Heard) {
        (self.0)(heard);
    }
}

impl Wakes {
    /// Wakes that call a function, for as long as the second value lives: to test an engine without a fleet.
    pub fn to(listener: impl Fn(Heard) + Send + Sync + 'static) -> (Self, Listening) {
        let listener: Arc<dyn Hears> = Arc::new(Calls(listener));
        (Self(Arc::downgrade(&listener)), Listening(listener))
    }

    fn hear(&self, heard: Heard) {
        if let Some(listener) = self.0.upgrade() {
            listener.hear(heard);
        }
    }

    /// The store can be reached, and this process receives wake-ups. Calls use it from now on, and those that were waiting
    /// look again.
    pub fn up(&self) {
        self.hear(Heard::Up);
    }

    /// The store can't be reached. New calls don't try.
    pub fn down(&self) {
        self.hear(Heard::Down);
    }

    /// An execution that this process waits for has landed.
    pub fn landed(&self, token: Token) {
        self.hear(Heard::Landed(token));
    }

    /// New calls don't join this execution.
    pub fn forgotten(&self, token: Token) {
        self.hear(Heard::Forgotten(token));
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

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listening")
    }
}
