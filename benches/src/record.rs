//! The subject of a figure: its contender and its column.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Peer,
    /// A lower bound that can't be beaten with the same promises, or not at all.
    Bound,
    /// No contender: how many there are of what a growth table is about.
    Size,
}

#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// Which lap a column's figure is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Timed,
    Counted,
}

#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) from: From,
}

impl Column {
    pub(crate) fn timed(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            from: From::Timed,
        }
    }

    pub(crate) fn counted(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            from: From::Counted,
        }
    }
}
