//! Durable work with leases, on SQLite, PostgreSQL or MariaDB; has never heard of images.
//!
//! * [`Database`] opens the pools. Reads go to [`Database::reads`]; every write goes through [`Database::write`],
//!   which commits what has queued up as a group and answers after the commit.
//! * Work is a row in a *lane*. [`enqueue`] joins the caller's transaction, so that a record and the work it needs
//!   commit together. [`claim()`] gives work to a *holder*, whose single lease row keeps all that it has claimed.
//! * Each claim raises the work's *fence*; whoever settles names the fence it was given, and changes nothing when the
//!   work has meanwhile gone to somebody else.
//! * Work of one lane is claimed by priority; within one, the keys that it was put in for take turns.
//! * [`Workers`] perform the work of one lane and [`Bell`] wakes them.
//!
//! **Invariant:** a write that was answered is on the disk, and work that was enqueued is performed, settled or given
//! up by name; it is never lost and never held by two at once.

mod backoff;
mod bell;
mod bulk;
mod caller_count;
mod claim;
mod clock;
mod database;
mod depth;
mod entry;
mod entry_queues;
mod grouped_write;
mod holder;
mod metrics;
mod passes;
mod performer;
mod pools;
mod rows;
mod work;
mod workers;
mod writer;

pub use backoff::Backoff;
pub use bell::{Bell, BellListener};
pub use bulk::{WorkFilter, move_lane, remove_group, unpark, waiting_by_lane};
pub use claim::{ClaimError, Claimed, claim, claim_within};
pub use clock::{Clock, SystemClock, TestClock};
pub use database::{Database, OpenError};
pub use depth::{Depth, WorkState, depths};
pub use entry::WriteError;
pub use grouped_write::{GroupedWrite, WriteAll};
pub use holder::{HolderId, end_holder, grant_all, holder_exists, reclaim_expired, register_holder, renew};
pub use metrics::{encode_gauge, encode_gauges};
pub use performer::{Failure, Perform};
pub use rows::work::PARKED;
pub use work::{
    NewWork, Work, WorkId, complete, enqueue, enqueue_all, held_by, holds, release, retry_later, work_of,
    work_of_group,
};
pub use workers::{Workers, WorkersSettings};
pub use writer::Urgency;
