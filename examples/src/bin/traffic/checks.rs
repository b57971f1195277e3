//! Checks of the answers: every timeline is right, every post is saved exactly once.
//!
//! Timelines are compared while nothing is written, when a person has exactly one timeline, and the plain route says which.
//! After all posts are saved, both routes are asked again: piggyback must not have kept anything from before.

use std::collections::{HashMap, HashSet};

use hyper::StatusCode;

use crate::{
    client::{Call, Reply, Route},
    database::Db,
    load::{Load, Measured},
    post::NewPost,
    report::count,
};

/// The result of a check: a sentence that holds, or one that says what is wrong.
pub(crate) type Finding = Result<String, String>;

/// How many callers ask for the timelines that are compared.
const CALLERS: usize = 64;

/// For each person the hashes of the timelines that were answered: if all is well, one.
type Timelines = HashMap<i64, HashSet<u64>>;

/// The answers that the callers got.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    replies: usize,
    failed: Vec<String>,
    plain: Timelines,
    piggyback: Timelines,
    acknowledged: Vec<NewPost>,
}

impl Ledger {
    pub(crate) fn enter(&mut self, route: Route, replies: Vec<Reply>) {
        for Reply {
            call, status, body, ..
        } in replies
        {
            self.replies += 1;
            match (call, status) {
                (Call::Nothing, StatusCode::OK) => {}
                (Call::Timeline(person), StatusCode::OK) => {
                    let timelines = match route {
                        Route::Plain => &mut self.plain,
                        Route::Delay | Route::Piggyback => &mut self.piggyback,
                    };
                    timelines.entry(person).or_default().insert(body);
                }
                (Call::Post(post), StatusCode::CREATED) => self.acknowledged.push(post),
                (call, status) => self.failed.push(format!("{status} for {call:?}")),
            }
        }
    }

    pub(crate) fn every_request_succeeded(&self) -> Finding {
        match self.failed.first() {
            None => Ok(format!("All {} requests succeeded.", count(self.replies))),
            Some(first) => Err(format!(
                "{} of {} requests failed; the first: {first}",
                count(self.failed.len()),
                count(self.replies)
            )),
        }
    }

    /// Call it before anything is written.
    pub(crate) async fn every_timeline_is_right(
        &mut self,
        load: &Load<'_>,
    ) -> anyhow::Result<Finding> {
        let unknown = self
            .piggyback
            .keys()
            .filter(|&person| !self.plain.contains_key(person));
        let replies = load
            .timelines(Route::Plain, unknown.copied().collect(), CALLERS)
            .await?;
        self.enter(Route::Plain, replies);
        Ok(compare(&self.plain, &self.piggyback).map(|people| {
            format!(
                "The timelines of {} people are those of the plain route.",
                count(people)
            )
        }))
    }

    /// Call it after all posts are saved.
    pub(crate) async fn nothing_old_is_answered(load: &Load<'_>) -> anyhow::Result<Finding> {
        let people: Vec<i64> = (1..=500).collect();
        let mut ledger = Self::default();
        for route in [Route::Piggyback, Route::Plain] {
            let replies = load.timelines(route, people.clone(), CALLERS).await?;
            ledger.enter(route, replies);
        }
        Ok(match compare(&ledger.plain, &ledger.piggyback) {
            Ok(people) => Ok(format!(
                "After all posts were saved, the timelines of {people} people are still those of the plain route."
            )),
            Err(wrong) => Err(format!("After all posts were saved: {wrong}")),
        })
    }

    pub(crate) async fn every_post_is_saved_once(&self, db: &Db) -> anyhow::Result<Finding> {
        let saved = db.saved_posts().await?;
        let mut times: HashMap<&NewPost, usize> = HashMap::new();
        for post in &saved {
            *times.entry(post).or_default() += 1;
        }
        let posts = self.acknowledged.len();
        let once = self
            .acknowledged
            .iter()
            .filter(|post| times.get(post) == Some(&1))
            .count();
        Ok(if once == posts && saved.len() == posts {
            Ok(format!(
                "All {} acknowledged posts are in the database exactly once.",
                count(posts)
            ))
        } else {
            Err(format!(
                "Of {} acknowledged posts, {} are in the database exactly once; it has {}.",
                count(posts),
                count(once),
                count(saved.len())
            ))
        })
    }
}

/// Without piggyback every request is a query: if not, something is wrong with the counting.
pub(crate) fn every_plain_request_is_a_query<'a>(
    measured: impl Iterator<Item = &'a Measured>,
) -> Finding {
    for m in measured.filter(|m| m.route == Route::Plain) {
        if m.queries != m.requests as u64 {
            return Err(format!(
                "{} plain requests made {} queries.",
                m.requests, m.queries
            ));
        }
    }
    Ok("Each request of the plain routes made one query.".into())
}

fn compare(plain: &Timelines, piggyback: &Timelines) -> Result<usize, String> {
    if let Some((person, _)) = plain.iter().find(|(_, timelines)| timelines.len() != 1) {
        return Err(format!(
            "The plain route has several timelines for person {person}."
        ));
    }
    let mut people = piggyback.iter();
    match people.find(|&(person, timelines)| plain.get(person) != Some(timelines)) {
        None => Ok(piggyback.len()),
        Some((person, _)) => Err(format!(
            "The piggyback route's timeline of person {person} is not the plain route's."
        )),
    }
}
