//! The list that holds the graph's nodes and edges.

use super::Index;

/// A list whose entries keep their index, from 1 on.
pub(super) struct Slab<T> {
    entries: Vec<Option<T>>,
    free: Vec<Index>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(super) fn insert(&mut self, entry: T) -> Index {
        if let Some(index) = self.free.pop() {
            self.entries[index as usize - 1] = Some(entry);
            return index;
        }
        self.entries.push(Some(entry));
        Index::try_from(self.entries.len()).expect("fewer than 2^32 waits")
    }

    pub(super) fn remove(&mut self, index: Index) -> T {
        let entry = self.entries[index as usize - 1].take();
        self.free.push(index);
        entry.expect("an index is given back once")
    }
}

impl<T> std::ops::Index<Index> for Slab<T> {
    type Output = T;
    fn index(&self, index: Index) -> &T {
        self.entries[index as usize - 1]
            .as_ref()
            .expect("an index that is in use")
    }
}

impl<T> std::ops::IndexMut<Index> for Slab<T> {
    fn index_mut(&mut self, index: Index) -> &mut T {
        self.entries[index as usize - 1]
            .as_mut()
            .expect("an index that is in use")
    }
}
