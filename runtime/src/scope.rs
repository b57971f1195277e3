//! Where flights and batches live.
/// A scope.
#[derive(Debug, Clone, Default)]
pub struct Scope(());
