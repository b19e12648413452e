//! The stretch of time that is measured: connections work before it and after it, so that neither their start nor
//! their end is in the figures.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::clock::now;
use super::failure::Failure;
use super::machine;

/// Longest duration a histogram holds, ns; longer ones count as this.
const LATENCY_MAX: u64 = 60_000_000_000;

const WARMING: u8 = 0;
const OPEN: u8 = 1;
const CLOSED: u8 = 2;

/// Shared by the connections of one round. All run on one thread: nothing here is ever waited for.
pub struct Window {
    state: AtomicU8,
    answered: AtomicU64,
    latencies: Mutex<Latencies>,
}

/// What was seen in a window.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Answers per second.
    pub per_second: f64,
    /// Half the answers came within this, us.
    pub p50: f64,
    /// All but one of a hundred answers came within this, us.
    pub p99: f64,
    /// CPU of the server, us an answer.
    pub server_cpu: f64,
    /// CPU of this program, us an answer.
    pub client_cpu: f64,
}

/// Durations, to three digits.
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub fn new() -> Result<Self, Failure> {
        let histogram = Histogram::new_with_bounds(1, LATENCY_MAX, 3);
        histogram.map(Latencies).map_err(|error| Failure::new(format!("histogram: {error}")))
    }

    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(LATENCY_MAX));
    }

    /// Half of them were at most so long, us.
    pub fn p50(&self) -> f64 {
        self.0.value_at_quantile(0.50) as f64 / 1e3
    }

    /// All but one of a hundred were at most so long, us.
    pub fn p99(&self) -> f64 {
        self.0.value_at_quantile(0.99) as f64 / 1e3
    }
}

impl Window {
    /// Not open yet.
    pub fn new() -> Result<Self, Failure> {
        let latencies = Mutex::new(Latencies::new()?);
        Ok(Window { state: AtomicU8::new(WARMING), answered: AtomicU64::new(0), latencies })
    }

    /// Whether to send more.
    pub fn goes_on(&self) -> bool {
        self.state.load(Ordering::Relaxed) != CLOSED
    }

    /// Takes in answers that arrived together, after the times given.
    pub fn record(&self, latencies: &mut Vec<Duration>) {
        self.answered.fetch_add(latencies.len() as u64, Ordering::Relaxed);
        if self.state.load(Ordering::Relaxed) == OPEN {
            let mut recorded = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
            for latency in latencies.iter() {
                recorded.record(*latency);
            }
        }
        latencies.clear();
    }

    /// Warms up, opens, waits, closes; tells what was seen. `server` is the process whose CPU is counted.
    pub async fn watch(&self, server: u32, length: Duration) -> Result<Seen, Failure> {
        tokio::time::sleep((length / 4).min(Duration::from_secs(1))).await;
        let started = now();
        let (server_cpu, client_cpu) = (machine::cpu_time(server)?, machine::own_cpu_time()?);
        let answered = self.answered.load(Ordering::Relaxed);
        self.state.store(OPEN, Ordering::Relaxed);
        tokio::time::sleep(length).await;
        let answered = (self.answered.load(Ordering::Relaxed) - answered) as f64;
        let server_cpu = machine::cpu_time(server)? - server_cpu;
        let client_cpu = machine::own_cpu_time()? - client_cpu;
        let seconds = started.elapsed().as_secs_f64();
        self.state.store(CLOSED, Ordering::Relaxed);
        if answered == 0.0 {
            return Err(Failure::new(format!("nothing was answered in {seconds:.1} s")));
        }
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Seen {
            per_second: answered / seconds,
            p50: latencies.p50(),
            p99: latencies.p99(),
            server_cpu: server_cpu.as_secs_f64() * 1e6 / answered,
            client_cpu: client_cpu.as_secs_f64() * 1e6 / answered,
        })
    }

    /// Closes a window that nobody could watch to its end.
    pub fn close(&self) {
        self.state.store(CLOSED, Ordering::Relaxed);
    }
}
