//! What the kernel knows of a process: its CPU time, its memory, how many files it may open.

use std::fs;
use std::time::Duration;

use super::failure::Failure;

/// Units of `utime` and `stime` in `/proc/<pid>/stat`, per second. Fixed for all architectures that Linux shows to
/// user space this way (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: u64 = 100;

/// CPU time, user and system, that a process has used, all its threads together; in steps of 10 ms.
pub fn cpu_time(pid: u32) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_err(|error| Failure::new(format!("process {pid} has ended: {error}")))?;
    // The second field is the name in parentheses and may hold spaces; fields 14 and 15 are the 12th and 13th after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut ticks = fields.split_ascii_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
    match (ticks.next(), ticks.next()) {
        (Some(user), Some(system)) => Ok(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND)),
        _ => Err(Failure::new(format!("/proc/{pid}/stat cannot be read: {stat}"))),
    }
}

/// CPU time of this process.
pub fn own_cpu_time() -> Result<Duration, Failure> {
    cpu_time(std::process::id())
}

/// Resident memory of a process, bytes.
pub fn resident_bytes(pid: u32) -> Result<u64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kibibytes.map(|kib| kib * 1024).ok_or_else(|| Failure::new(format!("/proc/{pid}/status has no VmRSS")))
}

/// Time of all processors so far: what a hypervisor gave to others, and all of it.
#[derive(Clone, Copy, Debug)]
pub struct Processors {
    stolen: u64,
    all: u64,
}

impl Processors {
    /// Up to now.
    pub fn now() -> Result<Self, Failure> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line.split_ascii_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; what guests used is part of the first two (proc(5)).
        let Some((all, _)) = ticks.split_at_checked(8) else {
            return Err(Failure::new(format!("/proc/stat cannot be read: {line}")));
        };
        Ok(Processors { stolen: all[7], all: all.iter().sum() })
    }

    /// Which share of the time since then was given to others, in percent.
    pub fn stolen_since(self, before: Self) -> f64 {
        100.0 * self.stolen.saturating_sub(before.stolen) as f64 / self.all.saturating_sub(before.all).max(1) as f64
    }
}

/// Processes that wanted to run in the last minute: near 0 on a machine that has nothing else to do, and figures of
/// another one are worth little.
pub fn load_average() -> Result<String, Failure> {
    let averages = fs::read_to_string("/proc/loadavg")?;
    Ok(averages.split_ascii_whitespace().next().unwrap_or_default().to_owned())
}

/// Raises the number of files this process and its children may open as far as it goes; answers the number.
pub fn raise_file_limit() -> Result<usize, Failure> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    #[expect(unsafe_code, reason = "the limit has no safe interface; both calls only touch `limit`")]
    // SAFETY: `limit` is a valid rlimit that lives through both calls.
    let failed = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 || {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) != 0
        }
    };
    if failed {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}
