//! The application once more, as a value: what each call must answer in a state, and what it makes of the state.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};
use syncline_tests::random::Rng;

use crate::app::START;

pub const N_ACCOUNTS: u64 = 5;
pub const LISTS: [&str; 3] = ["red", "green", "blue"];

/// A result, or the data of the application's own error.
pub type Outcome = Result<String, String>;

/// A call of a query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read {
    List { list: &'static str },
    Range { from: u64, to: u64 },
    Pair { a: u64, b: u64 },
    Sometimes { list: &'static str },
    Me,
    Strict { number: u64 },
}

/// A call of a mutation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Transfer { from: u64, to: u64, amount: u64 },
    Append { list: &'static str },
    Sign { list: &'static str },
    Pop { list: &'static str },
    Look { list: &'static str, from: u64, to: u64 },
    Fail { list: &'static str },
}

fn list(rng: &mut Rng) -> &'static str {
    LISTS[rng.index(LISTS.len())]
}

fn two_accounts(rng: &mut Rng) -> (u64, u64) {
    let first = rng.below(N_ACCOUNTS);
    (first, (first + 1 + rng.below(N_ACCOUNTS - 1)) % N_ACCOUNTS)
}

impl Read {
    pub fn random(rng: &mut Rng) -> Self {
        let (a, b) = two_accounts(rng);
        match rng.below(12) {
            0..4 => Read::List { list: list(rng) },
            4 | 5 => Read::Range { from: a.min(b), to: a.max(b) },
            6 | 7 => Read::Pair { a, b },
            8 | 9 => Read::Sometimes { list: list(rng) },
            10 => Read::Me,
            _ => Read::Strict { number: a },
        }
    }

    /// One of each kind, over everything.
    pub fn all() -> Vec<Self> {
        let lists = LISTS.into_iter().flat_map(|list| [Read::List { list }, Read::Sometimes { list }]);
        let rest = [Read::Range { from: 0, to: N_ACCOUNTS }, Read::Me, Read::Strict { number: 0 }];
        lists.chain(rest).collect()
    }

    /// The function and its arguments on the wire.
    pub fn call(&self) -> (&'static str, Value) {
        match self {
            Read::List { list } => ("read:list", json!({ "list": list })),
            Read::Range { from, to } => ("read:range", json!({"from": from, "to": to})),
            Read::Pair { a, b } => ("read:pair", json!({"a": a, "b": b})),
            Read::Sometimes { list } => ("read:sometimes", json!({ "list": list })),
            Read::Me => ("read:me", json!({})),
            Read::Strict { number } => ("read:strict", json!({ "number": number })),
        }
    }
}

impl Write {
    pub fn random(rng: &mut Rng) -> Self {
        let (from, to) = two_accounts(rng);
        match rng.below(12) {
            0..3 => Write::Transfer { from, to, amount: 1 + rng.below(120) },
            3..6 => Write::Append { list: list(rng) },
            6 | 7 => Write::Sign { list: list(rng) },
            8 => Write::Pop { list: list(rng) },
            9 | 10 => Write::Look { list: list(rng), from: from.min(to), to: from.max(to) },
            _ => Write::Fail { list: list(rng) },
        }
    }

    /// The function and its arguments on the wire.
    pub fn call(&self, op: u64) -> (&'static str, Value) {
        match self {
            Write::Transfer { from, to, amount } => {
                ("write:transfer", json!({"from": from, "to": to, "amount": amount}))
            }
            Write::Append { list } => ("write:append", json!({"op": op, "list": list})),
            Write::Sign { list } => ("write:sign", json!({"op": op, "list": list})),
            Write::Pop { list } => ("write:pop", json!({ "list": list })),
            Write::Look { list, from, to } => ("write:look", json!({"list": list, "from": from, "to": to})),
            Write::Fail { list } => ("write:fail", json!({"op": op, "list": list})),
        }
    }
}

/// A state of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    accounts: BTreeMap<u64, i64>,
    lists: BTreeMap<&'static str, VecDeque<(u64, String)>>,
}

impl Model {
    fn balance(&self, number: u64) -> i64 {
        self.accounts.get(&number).copied().unwrap_or(START)
    }

    fn list(&self, list: &str) -> String {
        let entries = self.lists.get(list).into_iter().flatten();
        entries.map(|(op, who)| format!("{op}:{who}")).collect::<Vec<_>>().join(" ")
    }

    fn range(&self, from: u64, to: u64) -> String {
        let found = self.accounts.range(from..=to);
        found.map(|(number, balance)| format!("{number}={balance}")).collect::<Vec<_>>().join(" ")
    }

    /// What a query answers here.
    pub fn read(&self, read: &Read, who: &str) -> Outcome {
        Ok(match read {
            Read::List { list } => self.list(list),
            Read::Range { from, to } => self.range(*from, *to),
            Read::Pair { a, b } => format!("{} {}", self.balance(*a), self.balance(*b)),
            Read::Sometimes { list } => match self.lists.get(list).map_or(0, VecDeque::len) {
                odd if odd % 2 == 1 => format!("{odd} {who}"),
                even => even.to_string(),
            },
            Read::Me => who.to_owned(),
            Read::Strict { number } => match self.balance(*number) {
                poor if poor < START => return Err(format!("poor {poor}")),
                _ => "rich".to_owned(),
            },
        })
    }

    /// What a mutation answers here; its effect stays only when it succeeds.
    pub fn write(&mut self, write: &Write, op: u64, who: &str) -> Outcome {
        match write {
            Write::Transfer { from, to, amount } => {
                let (has, gets, amount) = (self.balance(*from), self.balance(*to), *amount as i64);
                if has < amount {
                    return Err(format!("poor {has}"));
                }
                self.accounts.insert(*from, has - amount);
                self.accounts.insert(*to, gets + amount);
                Ok(format!("{has} {gets}"))
            }
            Write::Append { list } => Ok(self.append(list, op, "-")),
            Write::Sign { list } => Ok(format!("{who}|{}", self.append(list, op, who))),
            Write::Pop { list } => match self.lists.entry(list).or_default().pop_front() {
                Some((op, who)) => Ok(format!("{op}:{who}")),
                None => Ok("none".to_owned()),
            },
            Write::Look { list, from, to } => Ok(format!("{}|{}", self.list(list), self.range(*from, *to))),
            Write::Fail { list } => Err(self.list(list)),
        }
    }

    fn append(&mut self, list: &'static str, op: u64, who: &str) -> String {
        let before = self.list(list);
        self.lists.entry(list).or_default().push_back((op, who.to_owned()));
        before
    }
}
