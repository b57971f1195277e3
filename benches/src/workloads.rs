//! The workloads, a file a family.

pub(crate) mod compile;
pub(crate) mod contended;
pub(crate) mod followers;
pub(crate) mod growth;
pub(crate) mod latency;
pub(crate) mod postgres;
pub(crate) mod throughput;
pub(crate) mod uncontended;

use crate::{
    measure::{Plan, Race},
    report::Table,
};

pub(crate) enum Workload {
    Race(Race),
    /// A workload that is no race: its id, its title, and how it is run.
    Other(&'static str, &'static str, fn(&Plan) -> Vec<Table>),
}

impl Workload {
    pub(crate) fn id(&self) -> &'static str {
        match self {
            Workload::Race(race) => race.id,
            Workload::Other(id, ..) => id,
        }
    }

    pub(crate) fn title(&self) -> &'static str {
        match self {
            Workload::Race(race) => race.title,
            Workload::Other(_, title, _) => title,
        }
    }

    /// Whether it is asked for: by its id (`D2 100`) or by its family (`D2`).
    pub(crate) fn is(&self, asked: &str) -> bool {
        let id = self.id();
        let family = id.split(' ').next().unwrap_or(id);
        asked.eq_ignore_ascii_case(id) || asked.eq_ignore_ascii_case(family)
    }

    pub(crate) fn run(&self, plan: &Plan) -> Vec<Table> {
        match self {
            Workload::Race(race) => vec![race.run(plan)],
            Workload::Other(_, _, run) => run(plan),
        }
    }
}

/// All of them, in the order in which they are run.
pub(crate) fn all() -> Vec<Workload> {
    let races = uncontended::races()
        .into_iter()
        .chain(followers::races())
        .chain(contended::races())
        .chain(throughput::races())
        .chain(latency::races());
    races
        .map(Workload::Race)
        .chain(postgres::workloads())
        .chain([compile::workload()])
        .chain(growth::workloads())
        .collect()
}
