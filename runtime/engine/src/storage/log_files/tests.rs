//! The log as a crash, damage or a failed write leaves it.

use std::fs;

use proptest::prelude::*;

use super::*;

const LOG: LogId = [7; 16];

fn batch(n: u64, len: usize) -> LogBatch {
    // Text that is like a head of a record as often as not: zeros, and small numbers.
    LogBatch { ts: Timestamp(n), bytes: (0..len).map(|at| if at % 5 == 0 { (n % 251) as u8 } else { 0 }).collect() }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn create(&self) -> LogFiles {
        LogFiles::create(&self.store(), LOG, Timestamp(0)).unwrap()
    }

    fn open(&self, base: u64) -> Result<LogFiles, StorageError> {
        LogFiles::open(&self.store(), LOG, Timestamp(base))
    }

    fn files(&self) -> [Vec<u8>; 2] {
        LogFiles::paths(&self.store()).map(|path| fs::read(path).unwrap())
    }

    fn put(&self, files: &[Vec<u8>; 2]) {
        for (path, bytes) in LogFiles::paths(&self.store()).iter().zip(files) {
            fs::write(path, bytes).unwrap();
        }
    }
}

fn all(log: &mut LogFiles, base: u64) -> Vec<LogBatch> {
    log.after(Timestamp(base), usize::MAX).unwrap()
}

fn damaged(found: Result<LogFiles, StorageError>) -> bool {
    matches!(found, Err(StorageError::Corrupt { .. }))
}

#[test]
fn files_take_turns_and_stay_short() {
    let place = Place::new();
    let mut log = place.create();
    let mut kept: Vec<LogBatch> = Vec::new();
    let mut longest = 0;
    for n in 1..=1_000 {
        log.append(&batch(n, 100)).unwrap();
        kept.push(batch(n, 100));
        if n % 20 == 0 {
            let base = n - 5;
            log.forget(Timestamp(base));
            kept.retain(|batch| batch.ts.0 > base);
        }
        let [first, second] = place.files();
        longest = longest.max(first.len()).max(second.len());
        if n % 7 == 0 {
            let base = n / 20 * 20;
            let base = base.saturating_sub(5);
            drop(log);
            log = place.open(base).unwrap();
            assert_eq!(log.head(), Timestamp(n));
        }
        let base = kept[0].ts.0 - 1;
        assert_eq!(all(&mut log, base), kept);
        let mut pieces = Vec::new();
        let mut after = Timestamp(base);
        while let [.., last] = &log.after(after, 250).unwrap()[..] {
            after = last.ts;
            pieces.push(last.ts);
        }
        assert_eq!(after, Timestamp(n), "{pieces:?}");
    }
    assert!(longest < 50 * (100 + RECORD_HEAD + ALIGNED), "{longest} bytes in a file, {} since a checkpoint", 20 * 140);
}

/// The base may be ahead of the log: commits of a time before it.
#[test]
fn a_log_begins_anew_behind_its_base() {
    let place = Place::new();
    let mut log = place.create();
    log.append(&batch(3, 10)).unwrap();
    log.forget(Timestamp(8));
    assert_eq!(log.head(), Timestamp(8));
    assert!(log.is_forgotten());
    log.append(&batch(9, 10)).unwrap();
    assert!(!log.is_forgotten());
    log.append(&batch(12, 10)).unwrap();
    assert_eq!(all(&mut place.open(8).unwrap(), 8), [batch(9, 10), batch(12, 10)]);
    assert_eq!(place.open(20).unwrap().head(), Timestamp(20));
}

#[test]
fn a_batch_that_was_written_and_not_synced_can_be_taken_back() {
    let place = Place::new();
    let mut log = place.create();
    log.append(&batch(1, 1_000)).unwrap();
    for base in [0, 1] {
        // With nothing in the way it begins the other file.
        log.forget(Timestamp(base));
        log.write(&batch(2, 3_000)).unwrap();
        assert!(!log.is_forgotten());
        log.settle().unwrap();
        assert_eq!(log.head(), Timestamp(1));
        assert_eq!(place.open(base).unwrap().head(), Timestamp(1));
    }
    log.write(&batch(2, 3_000)).unwrap();
    log.append(&batch(3, 10)).unwrap();
    assert_eq!(all(&mut place.open(1).unwrap(), 1), [batch(3, 10)]);
    assert_eq!(all(&mut log, 1), [batch(3, 10)]);
}

#[test]
fn a_log_that_is_gone_or_of_another_store_is_missed() {
    let place = Place::new();
    let mut log = place.create();
    log.append(&batch(1, 10)).unwrap();
    assert!(damaged(LogFiles::open(&place.store(), [8; 16], Timestamp(0))));
    assert_eq!(all(&mut place.open(0).unwrap(), 0), [batch(1, 10)], "it is left alone");
    let copy = place.files();
    for path in LogFiles::paths(&place.store()) {
        fs::remove_file(&path).unwrap();
        let error = place.open(0).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        place.put(&copy);
    }
    LogFiles::remove(&place.store()).unwrap();
    assert!(damaged(place.open(0)));
    assert!(LogFiles::remove(&place.store()).is_ok(), "as often as one likes");
}

/// What happens to a log.
#[derive(Clone, Debug)]
enum Act {
    Append(usize),
    /// The base gets all but so many of the newest commits.
    Forget(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => prop_oneof![0..200_usize, 0..3_000_usize].prop_map(Act::Append),
        1 => (0..4_u64).prop_map(Act::Forget),
    ];
    proptest::collection::vec(act, 1..25)
}

/// A log after some acts; the newest commit and the base.
fn played(place: &Place, acts: &[Act]) -> (LogFiles, u64, u64) {
    let (mut log, mut head, mut base) = (place.create(), 0, 0);
    for act in acts {
        match act {
            Act::Append(len) => {
                head += 1;
                log.append(&batch(head, *len)).unwrap();
            }
            Act::Forget(kept) => {
                base = base.max(head.saturating_sub(*kept));
                log.forget(Timestamp(base));
            }
        }
    }
    (log, head, base)
}

/// What a file may be when the machine stops in the middle of a write: each of its sectors is as before or as after,
/// and it is as long as before, as after, or in between.
fn torn(before: &[u8], after: &[u8], is_new: &[bool], len: usize) -> Vec<u8> {
    let shorter = before.len().min(after.len());
    let len = shorter + len % (after.len() - shorter + 1);
    let byte = |at: usize| {
        let is_new = is_new[at / 512 % is_new.len()];
        let old = before.get(at).copied().unwrap_or(0);
        if is_new { after.get(at).copied().unwrap_or(0) } else { old }
    };
    (0..len.max(before.len())).map(byte).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_crash_in_a_write_loses_nothing_that_was_acknowledged(
        acts in acts(),
        len in 0..4_000_usize,
        is_new in proptest::collection::vec(any::<bool>(), 1..20),
        grown in any::<usize>(),
    ) {
        let place = Place::new();
        let (mut log, head, base) = played(&place, &acts);
        let before = place.files();
        log.append(&batch(head + 1, len)).unwrap();
        let after = place.files();
        let torn = [0, 1].map(|part| torn(&before[part], &after[part], &is_new, grown));
        let whole = torn == after;
        place.put(&torn);
        let mut log = place.open(base).unwrap();
        let found = all(&mut log, base);
        let expected = |to: u64| (base + 1..=to).collect::<Vec<_>>();
        let found_ts: Vec<u64> = found.iter().map(|batch| batch.ts.0).collect();
        prop_assert!(found_ts == expected(head + 1) || !whole && found_ts == expected(head), "{found_ts:?}");
        // Life goes on, and so does the next crash.
        let next = log.head().0 + 1;
        log.append(&batch(next, 50)).unwrap();
        prop_assert_eq!(place.open(base).unwrap().head(), Timestamp(next));
    }

    #[test]
    fn damage_is_noticed_but_in_the_last_record(acts in acts(), part in 0..2_usize, at in any::<usize>(), bit in 0..8) {
        let place = Place::new();
        let (mut log, head, base) = played(&place, &acts);
        let expected = all(&mut log, base);
        let mut files = place.files();
        prop_assume!(!files[part].is_empty());
        let at = at % files[part].len();
        files[part][at] ^= 1_u8 << bit;
        place.put(&files);
        match place.open(base) {
            Err(error) => prop_assert!(matches!(&error, StorageError::Corrupt { .. }), "{error}"),
            Ok(mut log) => {
                let found = all(&mut log, base);
                let without_last = &expected[..expected.len().saturating_sub(1)];
                prop_assert!(found == expected || found == without_last, "{} of {}", found.len(), expected.len());
                prop_assert!(log.head().0 + 1 >= head.max(base));
            }
        }
    }
}
