use piggyback::batch;

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tree;

impl Tree {
    #[batch(size = 10, eager)]
    pub async fn sum(&self, ids: Vec<u64>) -> Vec<u64> {
        let mut sums = Vec::new();
        for id in ids {
            sums.push(if id == 0 { 0 } else { self.sum(id - 1).await });
        }
        sums
    }
}

fn main() {}
