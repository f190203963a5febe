//! What Durable Streams' clients may make of a task's log, and how far their producers have come. It is decided by what the transaction finds that
//! writes, under the task's lock, so that of two writers one is first for both. Pure; the databases load, ask here, and write back.

use super::plan::Rows;
use super::{Append, Appended, Attempt, Refusal, Store, StoreError, condition::Only};
use crate::model::{Offset, Status, TaskId};

/// The most idempotent producers that a stream remembers; another one is refused, because to forget one would store what it sends again twice.
pub const PRODUCERS_OF_STREAM: u64 = 1_000;

/// How a stream stands, beside its log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamRow {
    /// What its bytes are. Nothing if the log is a stream of whole activities.
    pub content_type: Option<String>,
    /// The last `Stream-Seq`.
    pub seq: Option<String>,
    /// The offset that nothing comes after, once it is closed.
    pub closed_at: Option<Offset>,
}

/// Who writes, and how far it says it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    /// Its name.
    pub name: String,
    /// Its life.
    pub epoch: u64,
    /// The number of this request within that life.
    pub seq: u64,
}

/// What one request wants of a stream. All of it happens, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamWrite {
    /// Whether the stream is to be made: its log must be empty then, and nothing made of it before.
    pub create: bool,
    /// What the stream is made as, or was found to be before the body was read.
    pub content_type: Option<String>,
    /// `Stream-Seq`.
    pub seq: Option<String>,
    /// Who writes, if it wants to be able to send it again.
    pub producer: Option<Producer>,
    /// Whether nothing may come after this.
    pub close: bool,
    /// Whether there is nothing but the closing.
    pub only_close: bool,
}

/// Why a stream did not take what was sent. Nothing of it is stored then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamRefusal {
    /// There is a log already.
    #[error(
        "there is a stream at this address already, and it is another one: append to it as it is, or make yours at another address"
    )]
    Exists,
    /// It is another stream by now than the request was read for.
    #[error("the stream was deleted or made anew meanwhile: ask by HEAD what is there now, and send again what belongs to it")]
    Another,
    /// It is closed.
    #[error("the stream is closed and takes nothing more: what comes next goes to another stream")]
    Closed,
    /// It is closed, as was wanted.
    #[error("the stream is closed already: there is nothing to do")]
    ClosedAlready,
    /// It is open, and its run was ended by an activity that is not the closing.
    #[error(
        "the stream's run was ended as {status} by an activity of its own, so the stream cannot be closed: leave it open, or delete it and make it anew"
    )]
    RunEnded {
        /// As what.
        status: Status,
    },
    /// `Stream-Seq` does not go on.
    #[error(
        "Stream-Seq must be greater, byte by byte, than the last one: read what the stream has, and go on with a greater one"
    )]
    SeqRegression,
    /// Another life of the producer has written.
    #[error(
        "epoch {epoch} of this producer has written: unless another one goes by its name, begin a greater Producer-Epoch with Producer-Seq 0"
    )]
    StaleEpoch {
        /// Which.
        epoch: u64,
    },
    /// A life of a producer begins with 0.
    #[error("a new epoch of a producer begins with Producer-Seq 0")]
    EpochBegins,
    /// Something is missing between.
    #[error("Producer-Seq {expected} comes next")]
    Gap {
        /// What comes next.
        expected: u64,
    },
    /// It was stored before.
    #[error("it is stored already, as everything up to Producer-Seq {seq} is: go on behind it")]
    Duplicate {
        /// How far this life of the producer has come.
        seq: u64,
    },
    /// The stream remembers no more producers.
    #[error(
        "the stream has {PRODUCERS_OF_STREAM} producers, as many as it may have: write by one of their names, or to another stream"
    )]
    TooManyProducers,
}

impl StreamRefusal {
    /// The stable code that clients branch on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exists => "stream_exists",
            Self::Another => "stream_changed",
            Self::Closed | Self::ClosedAlready => "stream_closed",
            Self::RunEnded { .. } => "stream_run_ended",
            Self::SeqRegression => "stream_seq",
            Self::StaleEpoch { .. } => "producer_epoch_stale",
            Self::EpochBegins => "producer_epoch_begins",
            Self::Gap { .. } => "producer_seq_gap",
            Self::Duplicate { .. } => "duplicate",
            Self::TooManyProducers => "too_many_producers",
        }
    }
}

impl Store {
    /// Commits one request to a stream in one transaction, as [`Store::append`] does, but all of it or nothing ([`Refusal::Stream`]). The batch is
    /// not empty, and of one task; that is made if the stream is.
    pub async fn append_to_stream(
        &self,
        batch: &[Append],
        write: &StreamWrite,
        attempt: Attempt,
    ) -> Result<Appended, StoreError> {
        each!(self, store => store.append(batch, attempt, Only::Stream(write)).await)
    }

    /// What a stream's clients have made of a task's log, if they have made something of it.
    pub async fn stream(&self, task: &TaskId) -> Result<Option<StreamRow>, StoreError> {
        each!(self, store => store.stream(task).await)
    }
}

/// What the transaction found.
#[derive(Debug, Default)]
pub(super) struct FoundStream {
    pub row: Option<StreamRow>,
    /// The epoch and the last number of this producer.
    pub producer: Option<(u64, u64)>,
    /// How many producers there are.
    pub producers: u64,
}

impl StreamWrite {
    /// How the stream stands once `items` activities are appended at `head`, or why they are not. `run` is how the stream's run stands.
    pub(super) fn judge(
        &self,
        found: &FoundStream,
        head: Offset,
        items: u64,
        run: Option<Status>,
    ) -> Result<StreamRow, StreamRefusal> {
        let mut row = found.row.clone().unwrap_or_default();
        if self.create {
            if found.row.is_some() || head != Offset::ZERO {
                return Err(StreamRefusal::Exists);
            }
            row.content_type.clone_from(&self.content_type);
        } else if row.content_type != self.content_type {
            return Err(StreamRefusal::Another);
        }
        // What was stored is so for good, also once the stream is closed; a gap in what cannot be stored any more is none.
        match (self.judge_producer(found), row.closed_at) {
            (Err(StreamRefusal::Gap { .. }), Some(_)) => return Err(StreamRefusal::Closed),
            (Err(refusal), _) => return Err(refusal),
            (Ok(()), Some(_)) if self.only_close && self.producer.is_none() => return Err(StreamRefusal::ClosedAlready),
            (Ok(()), Some(_)) => return Err(StreamRefusal::Closed),
            (Ok(()), None) => {}
        }
        if let Some(seq) = &self.seq {
            if row.seq.as_ref().is_some_and(|last| seq.as_bytes() <= last.as_bytes()) {
                return Err(StreamRefusal::SeqRegression);
            }
            row.seq = Some(seq.clone());
        }
        if self.close {
            if let Some(status) = run.filter(|run| !run.may_become(Status::Completed)) {
                return Err(StreamRefusal::RunEnded { status });
            }
            row.closed_at = Some(head.plus(items));
        }
        Ok(row)
    }

    fn judge_producer(&self, found: &FoundStream) -> Result<(), StreamRefusal> {
        let Some(Producer { epoch, seq, .. }) = &self.producer else { return Ok(()) };
        match found.producer {
            None if PRODUCERS_OF_STREAM <= found.producers => Err(StreamRefusal::TooManyProducers),
            None if *seq != 0 => Err(StreamRefusal::Gap { expected: 0 }),
            None => Ok(()),
            Some((known, _)) if *epoch < known => Err(StreamRefusal::StaleEpoch { epoch: known }),
            Some((known, _)) if known < *epoch && *seq != 0 => Err(StreamRefusal::EpochBegins),
            Some((known, _)) if known < *epoch => Ok(()),
            Some((_, last)) if *seq <= last => Err(StreamRefusal::Duplicate { seq: last }),
            Some((_, last)) if last + 1 < *seq => Err(StreamRefusal::Gap { expected: last + 1 }),
            Some(_) => Ok(()),
        }
    }

    /// Whether what it wants to be noted of it is noted already.
    fn is_noted(&self, found: &FoundStream) -> bool {
        let row = found.row.as_ref();
        let producer = self
            .producer
            .as_ref()
            .is_none_or(|producer| found.producer.is_some_and(|(epoch, last)| epoch == producer.epoch && producer.seq <= last));
        let seq = self.seq.as_ref().is_none_or(|seq| row.and_then(|row| row.seq.as_ref()).is_some_and(|last| seq <= last));
        producer && seq && (!self.close || row.is_some_and(|row| row.closed_at.is_some()))
    }

    /// The same for what the rows of a batch say: the batch is of one task and one request. Nothing if all of it is stored and noted already, by an
    /// earlier attempt that had no answer. What is stored and not noted came by another request: a producer that was started again, for one, sends by
    /// its next epoch what it does not know to be stored.
    pub(super) fn judge_batch(
        &self,
        found: &FoundStream,
        batch: &[Append],
        rows: &mut Rows,
    ) -> Option<Result<(i64, StreamRow), StreamRefusal>> {
        let first = batch.first()?;
        let task = rows.tasks.get(&first.task)?;
        let key = task.key;
        let new = batch.iter().filter(|item| !rows.known.contains_key(&(key, item.activity.activity.event_id))).count();
        if new == 0 && self.is_noted(found) {
            return None;
        }
        let last = batch.last()?;
        let run = rows.invocations.get(&(key, last.activity.activity.invocation.clone())).map(|row| row.status);
        let judged = self.judge(found, task.head, new as u64, run);
        if let Err(refusal) = &judged {
            // Nor is what is stored already taken once more.
            rows.known.clear();
            for item in batch {
                let refusal = Refusal::Stream(refusal.clone());
                rows.refused.insert((key, item.activity.activity.invocation.clone()), refusal);
            }
        }
        Some(judged.map(|row| (key, row)))
    }
}

/// The task of a batch that is of one request.
pub(super) fn task_of(batch: &[Append]) -> Option<&TaskId> {
    batch.first().map(|item| &item.task)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: u64 = 7;

    fn open() -> FoundStream {
        let row = StreamRow { content_type: Some("text/plain".to_owned()), ..StreamRow::default() };
        FoundStream { row: Some(row), ..FoundStream::default() }
    }

    fn closed() -> FoundStream {
        let mut found = open();
        found.row.as_mut().expect("a row").closed_at = Offset::new(HEAD);
        found
    }

    fn write() -> StreamWrite {
        StreamWrite { content_type: Some("text/plain".to_owned()), ..StreamWrite::default() }
    }

    fn by(epoch: u64, seq: u64) -> StreamWrite {
        StreamWrite { producer: Some(Producer { name: "p".to_owned(), epoch, seq }), ..write() }
    }

    fn knowing(found: FoundStream, epoch: u64, seq: u64) -> FoundStream {
        FoundStream { producer: Some((epoch, seq)), producers: 1, ..found }
    }

    fn judge(write: &StreamWrite, found: &FoundStream) -> Result<StreamRow, StreamRefusal> {
        write.judge(found, Offset::new(HEAD).expect("small"), 2, Some(Status::Running))
    }

    #[test]
    fn a_producer_goes_on_repeats_is_fenced_or_has_a_gap() {
        for (epoch, seq, expected) in [
            (1, 5, Ok(())),
            (1, 4, Err(StreamRefusal::Duplicate { seq: 4 })),
            (1, 0, Err(StreamRefusal::Duplicate { seq: 4 })),
            (1, 6, Err(StreamRefusal::Gap { expected: 5 })),
            (0, 5, Err(StreamRefusal::StaleEpoch { epoch: 1 })),
            (2, 0, Ok(())),
            (2, 5, Err(StreamRefusal::EpochBegins)),
        ] {
            assert_eq!(judge(&by(epoch, seq), &knowing(open(), 1, 4)).map(drop), expected, "{epoch} {seq}");
        }
        assert_eq!(judge(&by(3, 0), &open()).map(drop), Ok(()));
        assert_eq!(judge(&by(3, 1), &open()).map(drop), Err(StreamRefusal::Gap { expected: 0 }));
        let full = FoundStream { producers: PRODUCERS_OF_STREAM, ..open() };
        assert_eq!(judge(&by(0, 0), &full).map(drop), Err(StreamRefusal::TooManyProducers));
    }

    #[test]
    fn a_closed_stream_takes_nothing_and_still_knows_what_it_took() {
        let only_close = |write: StreamWrite| StreamWrite { close: true, only_close: true, ..write };
        for (write, found, expected) in [
            (write(), closed(), StreamRefusal::Closed),
            (StreamWrite { close: true, ..write() }, closed(), StreamRefusal::Closed),
            (only_close(write()), closed(), StreamRefusal::ClosedAlready),
            (by(1, 4), knowing(closed(), 1, 4), StreamRefusal::Duplicate { seq: 4 }),
            (by(1, 9), knowing(closed(), 1, 4), StreamRefusal::Closed),
            (by(0, 5), knowing(closed(), 1, 4), StreamRefusal::StaleEpoch { epoch: 1 }),
            (only_close(by(1, 5)), knowing(closed(), 1, 4), StreamRefusal::Closed),
            (only_close(write()), FoundStream::default(), StreamRefusal::Another),
        ] {
            assert_eq!(judge(&write, &found), Err(expected), "{write:?}");
        }
        let row = judge(&StreamWrite { close: true, ..write() }, &open()).expect("it is closed");
        assert_eq!(row.closed_at.map(Offset::get), Some(HEAD + 2));
    }

    #[test]
    fn an_open_stream_whose_run_was_ended_is_not_said_to_be_closed() {
        let close = StreamWrite { close: true, ..write() };
        for (status, expected) in [
            (Status::Failed, Err(StreamRefusal::RunEnded { status: Status::Failed })),
            (Status::Cancelled, Err(StreamRefusal::RunEnded { status: Status::Cancelled })),
            (Status::Completed, Ok(())),
            (Status::Lost, Ok(())),
        ] {
            let judged = close.judge(&open(), Offset::new(HEAD).expect("small"), 1, Some(status));
            assert_eq!(judged.map(drop), expected, "{status}");
        }
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        for refusal in [
            StreamRefusal::Exists,
            StreamRefusal::Another,
            StreamRefusal::Closed,
            StreamRefusal::ClosedAlready,
            StreamRefusal::RunEnded { status: Status::Failed },
            StreamRefusal::SeqRegression,
            StreamRefusal::StaleEpoch { epoch: 1 },
            StreamRefusal::Duplicate { seq: 1 },
            StreamRefusal::TooManyProducers,
        ] {
            let text = refusal.to_string();
            assert!(text.split_once(": ").is_some_and(|(what, hint)| !what.is_empty() && !hint.is_empty()), "{text}");
        }
    }

    #[test]
    fn sequences_are_compared_byte_by_byte() {
        for (last, next, taken) in [("2", "10", false), ("09", "10", true), ("a", "B", false), ("001", "001", false)] {
            let mut found = open();
            found.row.as_mut().expect("a row").seq = Some(last.to_owned());
            let write = StreamWrite { seq: Some(next.to_owned()), ..write() };
            assert_eq!(judge(&write, &found).is_ok(), taken, "{last} {next}");
        }
    }

    #[test]
    fn a_stream_is_made_of_an_empty_log_only_and_stays_what_it_is() {
        let create = StreamWrite { create: true, ..write() };
        assert_eq!(
            create.judge(&FoundStream::default(), Offset::ZERO, 1, None).map(|row| row.content_type),
            Ok(write().content_type)
        );
        assert_eq!(judge(&create, &FoundStream::default()), Err(StreamRefusal::Exists), "it has a log");
        assert_eq!(create.judge(&open(), Offset::ZERO, 1, None), Err(StreamRefusal::Exists));
        let other = StreamWrite { content_type: Some("application/json".to_owned()), ..write() };
        assert_eq!(judge(&other, &open()), Err(StreamRefusal::Another));
    }
}
