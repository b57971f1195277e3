//! The limits of one batch, which its first caller reads from the options.

/// The limits of one batch, read when it opens.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub(super) size: usize,
    /// `None`: only `eager` says when a batch runs that is not full.
    pub(super) delay_ms: Option<u64>,
    pub(super) max_weight: Option<u64>,
    pub(super) concurrency: Option<usize>,
    pub(super) eager: bool,
}

impl Limits {
    /// At most so many items, and so long a wait. A size of 0 counts as 1: a bulk call is never given an empty list.
    pub fn new(size: usize, delay_ms: u64) -> Self {
        Self {
            size: size.max(1),
            delay_ms: Some(delay_ms),
            max_weight: None,
            concurrency: None,
            eager: false,
        }
    }

    /// Has no delay: only `eager` says when a batch runs that is not full.
    pub fn without_delay(size: usize) -> Self {
        Self {
            delay_ms: None,
            ..Self::new(size, 0)
        }
    }

    /// The most that the items of a batch may weigh together.
    pub fn max_weight(mut self, most: u64) -> Self {
        self.max_weight = Some(most);
        self
    }

    /// The most bulk calls of a group at a time. 0 counts as 1.
    pub fn concurrency(mut self, most: usize) -> Self {
        self.concurrency = Some(most.max(1));
        self
    }

    /// A call does not wait when nothing of its group is running.
    pub fn eager(mut self) -> Self {
        self.eager = true;
        self
    }
}
