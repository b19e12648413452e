//! The transfer workload: which accounts, and the bytes that ask for a transfer.

use std::sync::Arc;

/// How many accounts there are, numbered from 0.
pub const ACCOUNTS: u32 = 100_000;

/// What each holds at first. Large enough that no run of transfers of 1 empties one, small enough that all of them
/// together are a whole number of a double.
pub const INITIAL_BALANCE: i64 = 1_000_000_000;

/// One unit from an account to another.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// The account that gives.
    pub from: u32,
    /// The account that takes.
    pub to: u32,
}

impl Transfer {
    /// Appends the arguments as JSON.
    pub fn write_args(self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"from_id":"#);
        write_number(self.from.into(), out);
        out.extend_from_slice(br#","to_id":"#);
        write_number(self.to.into(), out);
        out.extend_from_slice(br#","amount":1}"#);
    }

    /// Writes the message of the sync protocol, as the JavaScript client has it.
    pub fn write_message(self, request: u64, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(br#"{"type":"Mutation","requestId":"#);
        write_number(request, out);
        out.extend_from_slice(br#","udfPath":"transfer:transfer","args":["#);
        self.write_args(out);
        out.extend_from_slice(b"]}");
    }

    /// Writes the body of an HTTP call.
    pub fn write_body(self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(br#"{"path":"transfer:transfer","args":"#);
        self.write_args(out);
        out.push(b'}');
    }
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// How the accounts of transfers are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Each account as often as any other.
    Uniform,
    /// Account `k` as often as `(k + 1)` to the power of -1.5: account 0 is in three of five transfers.
    Zipf,
}

/// An endless row of transfers. The same seed gives the same row: so a run is written down as a seed and a number.
#[derive(Clone)]
pub struct Transfers {
    random: Random,
    zipf: Option<Arc<Alias>>,
}

impl Transfers {
    /// One row for each of `n` connections.
    pub fn rows(spread: Spread, seed: u64, n: usize) -> Vec<Transfers> {
        let zipf = (spread == Spread::Zipf).then(|| Arc::new(Alias::zipf(ACCOUNTS, 1.5)));
        let mut seeds = Random(seed);
        (0..n).map(|_| Transfers { random: Random(seeds.next()), zipf: zipf.clone() }).collect()
    }

    /// The next one; its accounts differ.
    pub fn next(&mut self) -> Transfer {
        let from = self.account();
        loop {
            let to = self.account();
            if to != from {
                return Transfer { from, to };
            }
        }
    }

    fn account(&mut self) -> u32 {
        match &self.zipf {
            Some(alias) => alias.draw(&mut self.random),
            None => self.random.below(ACCOUNTS),
        }
    }
}

/// Numbers that look random (SplitMix64): quick, and the same on every machine.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, n: u32) -> u32 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u32
    }
}

/// Draws from any distribution with two look-ups (Walker's alias method).
struct Alias {
    /// For each account: below which of 2^32 it is itself, and which account it is otherwise.
    columns: Vec<(u32, u32)>,
}

impl Alias {
    fn zipf(n: u32, exponent: f64) -> Self {
        let weights: Vec<f64> = (1..=n).map(|rank| f64::from(rank).powf(-exponent)).collect();
        let mean = weights.iter().sum::<f64>() / f64::from(n);
        let mut shares: Vec<f64> = weights.iter().map(|weight| weight / mean).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) = (0..n).partition(|&k| shares[k as usize] < 1.0);
        let mut columns: Vec<(u32, u32)> = (0..n).map(|k| (u32::MAX, k)).collect();
        while let (Some(poor), Some(rich)) = (small.pop(), large.last().copied()) {
            let share = shares[poor as usize];
            columns[poor as usize] = ((share * f64::from(u32::MAX)) as u32, rich);
            shares[rich as usize] -= 1.0 - share;
            if shares[rich as usize] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Alias { columns }
    }

    fn draw(&self, random: &mut Random) -> u32 {
        let bits = random.next();
        let column = ((u128::from(bits >> 32) * self.columns.len() as u128) >> 32) as u32;
        let (below, other) = self.columns[column as usize];
        if (bits as u32) <= below { column } else { other }
    }
}
