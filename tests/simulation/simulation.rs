//! One run: a server, its clients, a network, a disk and a clock, of which the seed moves one at each step.

use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use syncline::auth::Oidc;
use syncline::clock::{Clock as _, ManualClock};
use syncline::config::Config;
use syncline::machine::Spawn as _;
use syncline::{InProcess, Server, ServerError};
use syncline_engine::{EngineConfig, Fault, MemoryStorage, Storage as _};
use syncline_tests::random::{Rng, SeededRandom};

use crate::client::{Checked, Client, May, Scene};
use crate::disk::Disk;
use crate::history::History;
use crate::scheduler::Scheduler;
use crate::story::Story;
use crate::wire::{Towards, Wire};
use crate::{app, issuer};

/// When every run begins, in seconds since the epoch.
const START_S: u64 = 1_755_800_000;

/// How many steps a run has in which things go wrong.
const STEPS: u64 = 3_000;

/// Steps within which everything must have settled when nothing goes wrong any more.
const SETTLING_STEPS_MAX: u64 = 4_000;

/// What a run came to.
pub struct Told {
    /// What was checked at each step, and the history at the end.
    pub outcome: Checked,
    pub story: Vec<String>,
    pub counts: Counts,
}

/// That something did happen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub answers: usize,
    pub views: usize,
    pub crashes: usize,
    pub faults: usize,
}

/// What goes wrong in a run.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    /// Connections are lost, readers stop.
    network: bool,
    /// Appends and reads fail, are late, or are done without saying so.
    storage: bool,
    /// The process is killed, loses its power, or is stopped.
    crashes: bool,
    /// The clock leaps.
    leaps: bool,
    /// The wall clock is set back.
    set_back: bool,
}

type Slot<T> = Arc<Mutex<Option<T>>>;

fn take<T>(slot: &Slot<T>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A server process from its start to its end.
enum Process {
    Starting(Slot<Result<InProcess, ServerError>>),
    Running(Box<InProcess>),
    Stopping(Slot<()>),
}

/// See the module.
pub struct Simulation {
    rng: Rng,
    clock: Arc<ManualClock>,
    random: Arc<SeededRandom>,
    config: Config,
    disk: MemoryStorage,
    is_unreadable: bool,
    scheduler: Scheduler,
    process: Process,
    clients: Vec<Client>,
    wires: Vec<Wire>,
    trouble: Trouble,
    history: History,
    story: Story,
    step: u64,
    counts: Counts,
}

impl Simulation {
    fn new(seed: u64, is_told: bool) -> Self {
        let mut rng = Rng(seed);
        let clock = Arc::new(ManualClock::at_seconds(START_S));
        let trouble = Trouble {
            network: !rng.one_in(4),
            storage: rng.one_in(2),
            crashes: rng.one_in(2),
            leaps: rng.one_in(2),
            set_back: rng.one_in(6),
        };
        let config = config(&mut rng);
        let n_clients = 2 + rng.index(4);
        let story = Story::new(is_told, clock.clone());
        let scheduler = Scheduler::new(clock.clone());
        let mut this = Simulation {
            random: Arc::new(SeededRandom::new(rng.next_u64())),
            rng,
            config,
            disk: MemoryStorage::new(),
            is_unreadable: false,
            process: Process::Starting(Slot::default()),
            scheduler,
            clock,
            clients: (0..n_clients).map(Client::new).collect(),
            wires: Vec::new(),
            trouble,
            history: History::default(),
            story,
            step: 0,
            counts: Counts::default(),
        };
        this.story.tell(|| format!("seed {seed}: {n_clients} clients, {trouble:?}"));
        this.start();
        this
    }

    /// Runs a seed to its end.
    pub fn run(seed: u64, is_told: bool) -> Told {
        let mut this = Simulation::new(seed, is_told);
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| this.go()));
        let ran = ran.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(format!("a panic: {}", text.unwrap_or_default()))
        });
        this.scheduler.kill();
        let Simulation { history, story, mut counts, .. } = this;
        (counts.answers, counts.views) = history.counts();
        let outcome = ran.and_then(|()| history.check());
        Told { outcome, story: story.into_lines(), counts }
    }

    fn go(&mut self) -> Checked {
        for _ in 0..STEPS {
            self.begin_step()?;
            self.happen()?;
        }
        self.story.tell(|| "from here on nothing goes wrong".to_owned());
        self.disk.hold_appends(false);
        self.set_unreadable(false);
        self.wires.iter().for_each(|wire| wire.set_half_open(false));
        self.settle()?;
        self.story.tell(|| "everything has settled; the power is cut once more".to_owned());
        self.crash();
        for at in 0..self.clients.len() {
            self.with_client(at, |client, scene| client.watch_all(scene));
        }
        self.settle()?;
        for at in 0..self.clients.len() {
            self.with_client(at, |client, scene| client.look(scene));
        }
        Ok(())
    }

    fn begin_step(&mut self) -> Checked {
        self.step += 1;
        self.story.begin_step(self.step);
        self.wires.retain(|wire| !wire.is_over());
        match &mut self.process {
            Process::Starting(slot) => match take(slot) {
                Some(Ok(server)) => {
                    self.story.tell(|| "the server has started".to_owned());
                    self.process = Process::Running(Box::new(server));
                }
                Some(Err(error)) if self.trouble.storage || self.trouble.crashes => {
                    self.story.tell(|| format!("the server does not start: {error}"));
                    self.set_unreadable(false);
                    self.crash();
                }
                Some(Err(error)) => return Err(format!("the server does not start: {error}")),
                None => {}
            },
            Process::Running(_) => {}
            Process::Stopping(slot) => {
                if take(slot).is_some() {
                    self.story.tell(|| "the server has stopped".to_owned());
                    self.crash();
                }
            }
        }
        Ok(())
    }

    /// Begins a server process over what the one before left on the disk.
    fn start(&mut self) {
        self.story.tell(|| "a server starts".to_owned());
        self.scheduler = Scheduler::new(self.clock.clone());
        let disk = Disk { memory: self.disk.clone(), random: self.random.clone() };
        let server = Server::new(app::tables(), app::functions())
            .auth(Oidc { issuer: issuer::ADDRESS, audience: issuer::AUDIENCE })
            .fetch(Arc::new(issuer::Documents))
            .clock(self.clock.clone())
            .machine(self.scheduler.machine(self.random.clone()))
            .storage(disk)
            .config(self.config.clone());
        let slot = Slot::default();
        self.process = Process::Starting(slot.clone());
        let starting = async move {
            let started = server.start_in_process().await;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        };
        self.scheduler.spawn("start", starting.boxed());
    }

    /// The process is gone at once, and with it all that was not synced; another one starts.
    fn crash(&mut self) {
        self.process = Process::Stopping(Slot::default());
        self.scheduler.kill();
        self.disk = self.disk.reopen();
        self.is_unreadable = false;
        self.start();
    }

    fn stop(&mut self) {
        let gone = Slot::default();
        if let Process::Running(server) = std::mem::replace(&mut self.process, Process::Stopping(gone.clone())) {
            let stopping = async move {
                server.stop().await;
                *gone.lock().unwrap_or_else(PoisonError::into_inner) = Some(());
            };
            self.scheduler.spawn("stop", stopping.boxed());
        }
    }

    fn set_unreadable(&mut self, is_unreadable: bool) {
        self.is_unreadable = is_unreadable;
        self.disk.set_unreadable(is_unreadable);
    }

    /// Where the log ends that a crash now would leave.
    fn synced(&self) -> u64 {
        let head = |disk: &MemoryStorage| disk.position().now_or_never().and_then(Result::ok);
        let position = head(&self.disk).or_else(|| head(&self.disk.reopen()));
        position.expect("memory can be read").head.0
    }

    /// Whether the machine under the server has lost its power.
    fn has_lost_power(&self) -> bool {
        !self.is_unreadable
            && !matches!(self.process, Process::Stopping(_))
            && self.disk.position().now_or_never().is_none_or(|position| position.is_err())
    }

    fn with_client<T>(&mut self, at: usize, act: impl FnOnce(&mut Client, &mut Scene<'_>) -> T) -> T {
        let synced = self.synced();
        let Trouble { storage, crashes, leaps, set_back, .. } = self.trouble;
        let may = May { fail: storage || crashes || leaps, be_late: leaps, misjudge_time: set_back };
        let mut scene = Scene {
            rng: &mut self.rng,
            clock: &self.clock,
            history: &mut self.history,
            story: &mut self.story,
            step: self.step,
            synced,
            may,
        };
        act(&mut self.clients[at], &mut scene)
    }

    /// One thing happens.
    fn happen(&mut self) -> Checked {
        match self.rng.below(1_000) {
            0..560 => self.run_task(),
            560..720 => self.deliver_something(),
            720..840 => {
                let at = self.rng.index(self.clients.len());
                if !self.clients[at].is_stalled {
                    self.with_client(at, Client::read)?;
                }
            }
            840..930 => self.act(),
            930..970 => self.advance_clock(),
            _ => self.go_wrong(),
        }
        Ok(())
    }

    fn run_task(&mut self) {
        if let Some(name) = self.scheduler.run_one(&mut self.rng) {
            self.story.tell(|| format!("  {name}"));
        }
    }

    fn deliver_something(&mut self) {
        if self.wires.is_empty() {
            return;
        }
        let wire = &self.wires[self.rng.index(self.wires.len())];
        let towards = if self.rng.one_in(2) { Towards::Server } else { Towards::Client };
        let n_max = if self.rng.one_in(3) { 1 + self.rng.index(100) } else { usize::MAX };
        let (n, _) = wire.deliver(towards, n_max);
        if n > 0 {
            self.story.tell(|| format!("  {n} bytes arrive at the {towards:?}"));
        }
    }

    fn connect(&mut self, at: usize) {
        let Process::Running(server) = std::mem::replace(&mut self.process, Process::Stopping(Slot::default())) else {
            unreachable!("clients connect to a server that runs");
        };
        let wire = self.with_client(at, |client, scene| client.connect(scene, &server));
        self.process = Process::Running(server);
        self.wires.push(wire);
    }

    /// A client does something.
    fn act(&mut self) {
        let at = self.rng.index(self.clients.len());
        if !self.clients[at].is_connected() {
            if matches!(self.process, Process::Running(_)) {
                self.connect(at);
            }
            return;
        }
        match self.rng.below(10) {
            0..6 => {
                if self.clients[at].n_pending() < 8 {
                    self.with_client(at, Client::mutate);
                }
            }
            6..9 => self.with_client(at, Client::change_queries),
            _ => self.with_client(at, Client::change_user),
        }
    }

    fn advance_clock(&mut self) {
        self.clock.advance_ms(1 + self.rng.below(20));
        self.scheduler.wake_due();
    }

    fn go_wrong(&mut self) {
        let Trouble { network, storage, crashes, leaps, set_back } = self.trouble;
        match self.rng.below(26) {
            0..8 if network => {
                let at = self.rng.index(self.clients.len());
                self.with_client(at, Client::disconnect);
            }
            8..10 if network => {
                let at = self.rng.index(self.clients.len());
                self.clients[at].is_stalled = !self.clients[at].is_stalled;
            }
            10..15 if storage => {
                let fault = if self.rng.one_in(2) { Fault::Fails } else { Fault::FailsButStored };
                self.fail_next_sync(fault);
            }
            15..17 if storage => {
                let is_held = self.rng.one_in(2);
                self.disk.hold_appends(is_held);
                self.story.tell(|| if is_held { "the disk hangs" } else { "the disk goes on" }.to_owned());
            }
            17..19 if storage => {
                let is_unreadable = self.rng.one_in(3);
                self.set_unreadable(is_unreadable);
                self.story.tell(|| format!("the disk can be read: {}", !is_unreadable));
            }
            19 | 20 if crashes => {
                self.counts.crashes += 1;
                self.story.tell(|| "the process is killed".to_owned());
                self.crash();
            }
            21 if crashes => {
                let fault = [Fault::Crash, Fault::CrashStored, Fault::CrashTorn][self.rng.index(3)];
                self.fail_next_sync(fault);
            }
            22 if crashes && matches!(self.process, Process::Running(_)) => {
                self.story.tell(|| "the server is told to stop".to_owned());
                self.stop();
            }
            23..25 if leaps => {
                let ms = 1_000 * [1, 5, 11, 18, 25, 70][self.rng.index(6)];
                self.clock.advance_ms(ms);
                self.scheduler.wake_due();
                self.story.tell(|| format!("the clock leaps by {ms} ms"));
            }
            25 if set_back => {
                let to_s = self.clock.wall_ns() / 1_000_000_000 - 1 - self.rng.below(100);
                self.clock.set_wall_seconds(to_s);
                self.story.tell(|| format!("the wall clock is set to {to_s}"));
            }
            _ => {}
        }
        if self.has_lost_power() {
            self.counts.crashes += 1;
            self.story.tell(|| "the machine comes back".to_owned());
            self.crash();
        }
    }

    fn fail_next_sync(&mut self, fault: Fault) {
        self.counts.faults += 1;
        self.disk.fail_at(self.disk.n_syncs(), fault);
        self.story.tell(|| format!("the next sync: {fault:?}"));
    }

    /// Everybody is let go on, until nothing is left to be done: all that was asked for is answered.
    fn settle(&mut self) -> Checked {
        for _ in 0..SETTLING_STEPS_MAX {
            self.begin_step()?;
            if self.has_lost_power() {
                self.crash();
            }
            if self.go_on()? {
                continue;
            }
            let is_running = matches!(self.process, Process::Running(_));
            if is_running && self.clients.iter().all(Client::is_settled) {
                return Ok(());
            }
            // Whoever still waits, waits for a time; those who come back do so no more often.
            for at in 0..self.clients.len() {
                if is_running && !self.clients[at].is_connected() {
                    self.connect(at);
                }
            }
            let now_ms = self.clock.monotonic_ms();
            let next_ms = self.scheduler.next_wake_ms().unwrap_or(now_ms + 1);
            self.clock.advance_ms(next_ms.saturating_sub(now_ms).max(1));
            self.scheduler.wake_due();
        }
        let waiting = self.clients.iter().find(|client| !client.is_settled()).map(Client::waits_for);
        Err(format!("not settled within {SETTLING_STEPS_MAX} steps: {}", waiting.unwrap_or_default()))
    }

    /// Does something that can be done now; whether anything was.
    fn go_on(&mut self) -> Result<bool, String> {
        let mut has_moved = false;
        for wire in &self.wires {
            for towards in [Towards::Server, Towards::Client] {
                has_moved |= wire.deliver(towards, usize::MAX).1;
            }
        }
        for at in 0..self.clients.len() {
            self.with_client(at, Client::read)?;
        }
        for _ in 0..50 {
            let Some(name) = self.scheduler.run_one(&mut self.rng) else { break };
            self.story.tell(|| format!("  {name}"));
            has_moved = true;
        }
        Ok(has_moved)
    }
}

/// Limits of every size at which something happens.
fn config(rng: &mut Rng) -> Config {
    let engine = EngineConfig {
        memory_budget_bytes: [1 << 30, 4_000, 500][rng.index(3)],
        checkpoint_log_bytes: [64 << 20, 2_000, 200][rng.index(3)],
        log_bytes_max: [256 << 20, 3_000][rng.index(2)],
        checkpoint_rows_max: 1 + rng.index(20),
        ..EngineConfig::default()
    };
    Config {
        frames_per_turn_max: [1, 3, 256][rng.index(3)],
        idle_results_max: [0, 2, 4_096][rng.index(3)],
        mutation_attempts_max: [1, 2, 16][rng.index(3)],
        engine,
        ..Config::default()
    }
}
