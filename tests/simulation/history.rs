//! What the clients were told, and whether there is an order of all mutations in which it is true.

use crate::model::{Model, Outcome, Read, Write};

/// A mutation that was told to have succeeded.
#[derive(Debug)]
pub struct Answer {
    pub client: usize,
    pub request: u64,
    pub op: u64,
    pub call: Write,
    /// The identities that its connections had when it arrived there.
    pub callers: Vec<String>,
    pub ts: u64,
    pub result: String,
    /// It was sent more than once, and fails in some states.
    pub may_have_failed_before: bool,
    /// The steps of the simulation in which it was sent first, and answered.
    pub sent_at: u64,
    pub answered_at: u64,
}

/// A mutation that was told to have failed, by the application.
#[derive(Debug)]
pub struct Failure {
    pub op: u64,
    pub call: Write,
    pub data: String,
    /// It ran at a moment between these: behind all that its client knew, and not behind what was durable.
    pub within: (u64, u64),
}

/// All that a client saw at a moment.
#[derive(Debug)]
pub struct View {
    pub client: usize,
    pub ts: u64,
    pub who: String,
    pub results: Vec<(Read, Outcome)>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct History {
    answers: Vec<Answer>,
    failures: Vec<Failure>,
    views: Vec<View>,
    /// What clients hold when everything has settled: it must be the newest.
    last_views: Vec<View>,
    n_ops: u64,
    newest_answer: u64,
}

/// States by the timestamp from which they are the newest.
struct States(Vec<(u64, Model)>);

impl States {
    fn at(&self, ts: u64) -> &Model {
        let behind = self.0.partition_point(|(from, _)| *from <= ts);
        &self.0[behind - 1].1
    }

    fn newest(&self) -> &Model {
        &self.0.last().expect("it begins with the empty one").1
    }

    fn within(&self, (from, to): (u64, u64)) -> &[(u64, Model)] {
        let end = self.0.partition_point(|(ts, _)| *ts <= to);
        let begin = self.0.partition_point(|(ts, _)| *ts <= from).min(end);
        &self.0[begin.saturating_sub(1)..end]
    }
}

impl History {
    /// A number for a new mutation, which the lists show.
    pub fn next_op(&mut self) -> u64 {
        self.n_ops += 1;
        self.n_ops
    }

    /// The newest commit that any client was told of.
    pub fn newest_answer(&self) -> u64 {
        self.newest_answer
    }

    pub fn answered(&mut self, answer: Answer) {
        self.newest_answer = self.newest_answer.max(answer.ts);
        self.answers.push(answer);
    }

    pub fn failed(&mut self, failure: Failure) {
        self.failures.push(failure);
    }

    pub fn saw(&mut self, view: View) {
        self.views.push(view);
    }

    pub fn saw_last(&mut self, view: View) {
        self.last_views.push(view);
    }

    /// How many answers and views there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.answers.len() + self.failures.len(), self.views.len())
    }

    /// Checks all of it. Every mutation must have been answered before.
    pub fn check(mut self) -> Result<(), String> {
        self.answers.sort_by_key(|answer| answer.ts);
        self.check_real_time()?;
        let states = self.replay()?;
        self.check_failures(&states)?;
        for view in &self.views {
            view.check(states.at(view.ts), "at its timestamp")?;
        }
        for view in &self.last_views {
            view.check(states.newest(), "at the end")?;
        }
        Ok(())
    }

    /// The order of the timestamps is one that those who waited for answers could see.
    fn check_real_time(&self) -> Result<(), String> {
        for pair in self.answers.windows(2) {
            if pair[0].ts == pair[1].ts {
                return Err(format!("two mutations have one timestamp: {:?} and {:?}", pair[0], pair[1]));
            }
        }
        let mut last_sent: Option<&Answer> = None;
        for answer in &self.answers {
            if let Some(before) = last_sent
                && answer.answered_at < before.sent_at
            {
                return Err(format!("answered before {before:?} was sent, but committed behind it: {answer:?}"));
            }
            if last_sent.is_none_or(|last| answer.sent_at > last.sent_at) {
                last_sent = Some(answer);
            }
        }
        let clients = self.answers.iter().map(|answer| answer.client).max().map_or(0, |max| max + 1);
        for client in 0..clients {
            // One that failed leaves no record: sent again, it may succeed behind those that were sent after it.
            let in_order = |answer: &&Answer| answer.client == client && !answer.may_have_failed_before;
            let requests: Vec<_> = self.answers.iter().filter(in_order).collect();
            if let Some(pair) = requests.windows(2).find(|pair| pair[0].request >= pair[1].request) {
                return Err(format!("a client's mutations out of their order: {:?}, {:?}", pair[0], pair[1]));
            }
        }
        Ok(())
    }

    /// P1 and P4: done one after another in the order of their timestamps, each once, all answer what they answered.
    fn replay(&self) -> Result<States, String> {
        let mut states = States(vec![(0, Model::default())]);
        for answer in &self.answers {
            let who = match &answer.call {
                Write::Sign { .. } => answer.result.split('|').next().unwrap_or_default(),
                _ => "",
            };
            if matches!(answer.call, Write::Sign { .. }) && !answer.callers.iter().any(|caller| caller == who) {
                return Err(format!("it ran as {who:?}, which its connection never was when it arrived: {answer:?}"));
            }
            let mut model = states.newest().clone();
            let expected = model.write(&answer.call, answer.op, who);
            if expected.as_ref() != Ok(&answer.result) {
                return Err(format!("not serializable: in its place it answers {expected:?}: {answer:?}"));
            }
            states.0.push((answer.ts, model));
        }
        Ok(states)
    }

    /// What a mutation read before it failed was the state at some moment at which it may have run.
    fn check_failures(&self, states: &States) -> Result<(), String> {
        for failure in &self.failures {
            let found = Err(failure.data.clone());
            let fits = |(_, model): &(u64, Model)| model.clone().write(&failure.call, failure.op, "") == found;
            if !states.within(failure.within).iter().any(fits) {
                return Err(format!("no state explains what this mutation read before it failed: {failure:?}"));
            }
        }
        Ok(())
    }
}

impl View {
    fn check(&self, model: &Model, when: &str) -> Result<(), String> {
        for (read, found) in &self.results {
            let expected = model.read(read, &self.who);
            if *found != expected {
                return Err(format!(
                    "client {} at {} as {:?} holds {found:?} for {read:?}; a fresh run {when} gives {expected:?}",
                    self.client, self.ts, self.who
                ));
            }
        }
        Ok(())
    }
}
