//! The storage of the simulation: the one in memory, whose every call takes a while, as a disk's.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use syncline_engine::{
    BaseAnswer, BaseRead, BaseWrites, Checkpoint, LogBatch, MemoryStorage, Meta, Position, Pruned, Storage,
    StorageError,
};
use syncline_schema::Timestamp;
use syncline_tests::random::SeededRandom;

use crate::scheduler::breathe;

type Answer<T> = BoxFuture<'static, Result<T, StorageError>>;

/// See the module. It is of one process: the next has its own over [`MemoryStorage::reopen`].
pub struct Disk {
    pub memory: MemoryStorage,
    pub random: Arc<SeededRandom>,
}

impl Disk {
    /// Does something after a while, and says so after another.
    fn later<T: Send + 'static>(&self, work: impl FnOnce(&MemoryStorage) -> Answer<T> + Send + 'static) -> Answer<T> {
        let (memory, random) = (self.memory.clone(), self.random.clone());
        async move {
            pause(&random).await;
            let answer = work(&memory).await;
            pause(&random).await;
            answer
        }
        .boxed()
    }
}

async fn pause(random: &SeededRandom) {
    for _ in 0..random.below(3) {
        breathe().await;
    }
}

impl Storage for Disk {
    fn position(&self) -> Answer<Position> {
        self.later(|memory| memory.position())
    }

    fn meta(&self) -> Answer<Meta> {
        self.later(|memory| memory.meta())
    }

    fn append(&self, expected_head: Timestamp, batch: LogBatch) -> Answer<()> {
        self.later(move |memory| memory.append(expected_head, batch))
    }

    fn log_after(&self, ts: Timestamp, bytes_max: usize) -> Answer<Vec<LogBatch>> {
        self.later(move |memory| memory.log_after(ts, bytes_max))
    }

    fn read(&self, parts: Vec<BaseRead>) -> Answer<Vec<BaseAnswer>> {
        self.later(move |memory| memory.read(parts))
    }

    fn write_base(&self, writes: BaseWrites) -> Answer<usize> {
        self.later(move |memory| memory.write_base(writes))
    }

    fn finish_checkpoint(&self, checkpoint: Checkpoint) -> Answer<Pruned> {
        self.later(move |memory| memory.finish_checkpoint(checkpoint))
    }

    fn base_bytes(&self) -> Answer<u64> {
        self.later(|memory| memory.base_bytes())
    }

    fn close(&self) -> Answer<()> {
        self.later(|memory| memory.close())
    }
}
