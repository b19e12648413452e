//! What every account must hold, from the transfers that were acknowledged: so a transfer that was lost, done twice or
//! done by halves is found, not only a changed sum.

use serde_json::Value;

use super::clock::bounded;
use super::failure::Failure;
use super::http::HttpClient;
use super::workload::{ACCOUNTS, INITIAL_BALANCE, Transfer, Transfers};

/// Accounts asked for in one call: a few milliseconds of work.
const ACCOUNTS_A_CALL: u32 = 500;

/// Expected balances.
pub struct Ledger {
    balances: Vec<i64>,
}

impl Ledger {
    /// Of accounts nobody has touched.
    pub fn new() -> Self {
        Ledger { balances: vec![INITIAL_BALANCE; ACCOUNTS as usize] }
    }

    /// What an account holds.
    pub fn balance(&self, account: u32) -> i64 {
        self.balances[account as usize]
    }

    /// What accounts hold together.
    pub fn sum(&self, accounts: std::ops::Range<u32>) -> i64 {
        self.balances[accounts.start as usize..accounts.end as usize].iter().sum()
    }

    /// Takes in a transfer that was acknowledged so many times.
    pub fn apply(&mut self, transfer: Transfer, times: u32) {
        self.balances[transfer.from as usize] -= i64::from(times);
        self.balances[transfer.to as usize] += i64::from(times);
    }

    /// Takes in the first `n` of a row.
    pub fn apply_row(&mut self, mut row: Transfers, n: u64) {
        for _ in 0..n {
            self.apply(row.next(), 1);
        }
    }

    /// Reads every account and compares it; the sum too.
    pub async fn check(&self, http: &mut HttpClient) -> Result<(), Failure> {
        let (mut sum, mut wrong) = (0, Vec::new());
        for first in (0..ACCOUNTS).step_by(ACCOUNTS_A_CALL as usize) {
            let accounts = first..(first + ACCOUNTS_A_CALL).min(ACCOUNTS);
            let found = bounded("reading balances", read_balances(http, accounts.clone())).await?;
            for (account, balance) in accounts.zip(found) {
                sum += balance;
                let expected = self.balances[account as usize];
                if balance != expected {
                    wrong.push(format!("account {account} holds {balance} instead of {expected}"));
                }
            }
        }
        let expected = INITIAL_BALANCE * i64::from(ACCOUNTS);
        if sum != expected {
            return Err(Failure::new(format!("the sum of balances is {sum} instead of {expected}")));
        }
        match wrong.first() {
            None => Ok(()),
            Some(first) => Err(Failure::new(format!(
                "{} balances are not what the acknowledged transfers make them; the first: {first}",
                wrong.len()
            ))),
        }
    }
}

async fn read_balances(http: &mut HttpClient, accounts: std::ops::Range<u32>) -> Result<Vec<i64>, Failure> {
    let queries: Vec<String> = accounts
        .clone()
        .map(|id| format!(r#"{{"path":"accounts:get_account","args":{{"id":{id}}},"format":"json"}}"#))
        .collect();
    let body = format!(r#"{{"queries":[{}]}}"#, queries.join(","));
    let answer: Value = serde_json::from_slice(http.post("/api/query_batch", body.as_bytes()).await?)
        .map_err(|error| Failure::new(format!("balances that are not JSON: {error}")))?;
    let balances: Option<Vec<i64>> = answer["results"].as_array().and_then(|results| {
        results.iter().map(|result| result["value"]["balance"].as_f64().map(|balance| balance as i64)).collect()
    });
    balances.filter(|balances| balances.len() == accounts.len()).ok_or_else(|| {
        let start: String = answer.to_string().chars().take(500).collect();
        Failure::new(format!("no balances of accounts {accounts:?} in {start}"))
    })
}
