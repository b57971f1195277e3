//! What is in the database before the first request: made up, the same in every run.

use std::collections::HashSet;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, Zipf};

pub(crate) const PEOPLE: i64 = 10_000;
pub(crate) const POSTS: usize = 100_000;
/// How many others a person follows, at least and at most.
pub(crate) const FOLLOWS: std::ops::RangeInclusive<usize> = 20..=100;

/// Some people post more and have more followers than others.
const SKEW: f64 = 0.5;

pub(super) struct Seed {
    /// The names of the people 1, 2, 3, …
    pub(super) people: Vec<String>,
    /// Follower and followed, each pair once, in order.
    pub(super) follows: Vec<(i64, i64)>,
    /// Author, text and time, the oldest first.
    pub(super) posts: Vec<(i64, String, i64)>,
}

impl Seed {
    pub(super) fn generate() -> Self {
        let mut rng = StdRng::seed_from_u64(2022);
        let popular = Zipf::new(PEOPLE as f64, SKEW).expect("a valid distribution");

        let mut follows = Vec::new();
        for follower in 1..=PEOPLE {
            let wanted = rng.random_range(FOLLOWS);
            let mut followed = HashSet::new();
            while followed.len() < wanted {
                let person = popular.sample(&mut rng) as i64;
                if person != follower {
                    followed.insert(person);
                }
            }
            let mut followed: Vec<_> = followed.into_iter().collect();
            followed.sort_unstable();
            follows.extend(followed.into_iter().map(|followed| (follower, followed)));
        }

        // One every five minutes, for a year, some time ago.
        let posts = (1..=POSTS as i64).map(|n| {
            let author = popular.sample(&mut rng) as i64;
            let text = format!("Post {n}: what person {author} had to say in the early days.");
            (author, text, 1_700_000_000 + n * 300)
        });

        Self {
            people: (1..=PEOPLE).map(|n| format!("Person {n}")).collect(),
            posts: posts.collect(),
            follows,
        }
    }
}
