//! The limits of one batch, which its first caller reads from the options.

/// The limits of one batch, read when it opens.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub(super) size: usize,
    /// `None`: a batch that is not full runs by `eager` only.
    pub(super) delay_ms: Option<u64>,
    pub(super) max_weight: Option<u64>,
    pub(super) concurrency: Option<usize>,
    pub(super) eager: bool,
}

impl Limits {
    /// Limits the number of items and the wait. A size of 0 counts as 1, since a bulk call never gets an empty list.
    pub fn new(size: usize, delay_ms: u64) -> Self {
        Self {
            size: size.max(1),
            delay_ms: Some(delay_ms),
            max_weight: None,
            concurrency: None,
            eager: false,
        }
    }

    /// Has no delay, so a batch that is not full runs by `eager` only.
    pub fn without_delay(size: usize) -> Self {
        Self {
            delay_ms: None,
            ..Self::new(size, 0)
        }
    }

    /// Limits the weight of all items of a batch together.
    pub fn max_weight(mut self, most: u64) -> Self {
        self.max_weight = Some(most);
        self
    }

    /// Limits the bulk calls of a group at a time. 0 counts as 1.
    pub fn concurrency(mut self, most: usize) -> Self {
        self.concurrency = Some(most.max(1));
        self
    }

    /// Runs a batch at once when no bulk call of its group is running.
    pub fn eager(mut self) -> Self {
        self.eager = true;
        self
    }
}
