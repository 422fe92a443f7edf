//! Which generation of the data a request is answered from.

use std::{collections::VecDeque, io, sync::Arc};

use axum::body::Bytes;

use super::{change::advance, data::Dataset};
use crate::entity::Endpoint;

/// Runs whose generation is remembered. Runs do not overlap, so a late request is of one of the last few.
const REMEMBERED: usize = 8;

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The whole body.
    Body(Bytes),
    /// Not now, try again.
    Refusal,
}

#[derive(Debug)]
struct Generation {
    number: u64,
    bodies: [Bytes; Endpoint::ALL.len()],
}

#[derive(Debug)]
struct Run {
    number: i64,
    generation: Arc<Generation>,
    /// The endpoint that has yet to refuse its first request.
    refusal: Option<Endpoint>,
}

/// The data of the newest generation and the runs that were served.
#[derive(Debug)]
pub(super) struct Source {
    data: Dataset,
    newest: Arc<Generation>,
    runs: VecDeque<Run>,
    misbehaves: bool,
}

impl Source {
    /// The source before its first run; when it `misbehaves` every third run meets a refusal, every sixth an incident.
    pub(super) fn new(misbehaves: bool) -> io::Result<Self> {
        let data = Dataset::built_in()?;
        let newest = Arc::new(Generation { number: 0, bodies: data.bodies() });
        Ok(Self { data, newest, runs: VecDeque::new(), misbehaves })
    }

    /// Answers one request, beginning the next generation when it is the first of its run.
    pub(super) fn answer(&mut self, endpoint: Endpoint, run: Option<i64>) -> Answer {
        let Some(number) = run else { return Answer::Body(self.newest.bodies[endpoint.index()].clone()) };
        if !self.runs.iter().any(|run| run.number == number) {
            self.begin(number);
        }
        let Some(run) = self.runs.iter_mut().find(|run| run.number == number) else { return Answer::Refusal };
        if run.refusal.take_if(|refusing| *refusing == endpoint).is_some() {
            return Answer::Refusal;
        }
        Answer::Body(run.generation.bodies[endpoint.index()].clone())
    }

    fn begin(&mut self, number: i64) {
        // The first run gets the data as it is built in.
        if !self.runs.is_empty() {
            let generation = self.newest.number + 1;
            advance(&mut self.data, generation);
            let mut bodies = self.data.bodies();
            if self.misbehaves && is_incident(generation) {
                bodies[Endpoint::Boards.index()] = self.data.body_of_first(Endpoint::Boards);
            }
            self.newest = Arc::new(Generation { number: generation, bodies });
        }
        if self.runs.len() == REMEMBERED {
            self.runs.pop_front();
        }
        let refusal = refusing(self.newest.number).filter(|_| self.misbehaves);
        self.runs.push_back(Run { number, generation: self.newest.clone(), refusal });
    }
}

/// Whether all boards but the first are missing in `generation`, which nobody wants to be live.
fn is_incident(generation: u64) -> bool {
    generation % 6 == 5
}

/// The endpoint that refuses once in `generation`, another one each time.
fn refusing(generation: u64) -> Option<Endpoint> {
    (generation % 3 == 1).then(|| {
        let turn = Endpoint::PortfoliosMedia.index() as u64 + generation / 3;
        Endpoint::ALL.into_iter().cycle().nth(usize::try_from(turn % 9).unwrap_or_default())
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(source: &mut Source, number: i64) -> Vec<Answer> {
        Endpoint::ALL.map(|endpoint| source.answer(endpoint, Some(number))).into()
    }

    #[test]
    fn a_run_keeps_its_generation_while_others_begin() {
        let mut source = Source::new(false).unwrap();
        let built_in = Dataset::built_in().unwrap().bodies().map(Answer::Body);
        assert_eq!(source.answer(Endpoint::Talents, None), built_in[0], "before the first run");
        // Numbers go on where an earlier demo in the same database stopped.
        let first = run(&mut source, 41);
        assert_eq!(first, built_in);
        let second = run(&mut source, 42);
        assert_ne!(second, first);
        assert_eq!(run(&mut source, 41), first);
        assert_eq!(run(&mut source, 42), second);
        assert_eq!(source.answer(Endpoint::Talents, None), second[0]);
        assert_eq!(source.newest.number, 1);
    }

    #[test]
    fn only_a_few_runs_are_remembered() {
        let mut source = Source::new(false).unwrap();
        for number in 0..30 {
            run(&mut source, number);
        }
        assert_eq!((source.runs.len(), source.newest.number), (REMEMBERED, 29));
    }

    #[test]
    fn every_sixth_run_has_lost_most_boards() {
        let boards = |answer: &Answer| match answer {
            Answer::Body(body) => {
                let body: serde_json::Value = serde_json::from_slice(body).unwrap();
                body["data"].as_array().unwrap().len()
            }
            Answer::Refusal => panic!("refused twice"),
        };
        let mut source = Source::new(true).unwrap();
        let lost: Vec<_> = (0..12)
            .filter(|number| {
                run(&mut source, *number);
                boards(&run(&mut source, *number)[Endpoint::Boards.index()]) == 1
            })
            .collect();
        assert_eq!(lost, [5, 11]);
    }

    #[test]
    fn every_third_run_meets_one_refusal_at_another_endpoint_each_time() {
        let mut source = Source::new(true).unwrap();
        let mut refused = Vec::new();
        for number in 0..30 {
            let answers = run(&mut source, number);
            let refusals: Vec<_> =
                Endpoint::ALL.into_iter().filter(|endpoint| answers[endpoint.index()] == Answer::Refusal).collect();
            assert_eq!(refusals.len(), usize::from(number % 3 == 1), "run {number}");
            refused.extend(refusals);
            assert!(!run(&mut source, number).contains(&Answer::Refusal), "run {number}, again");
        }
        assert_eq!(refused[0], Endpoint::PortfoliosMedia);
        refused.truncate(9);
        refused.sort_unstable();
        assert_eq!(refused, Endpoint::ALL);
    }
}
