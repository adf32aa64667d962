//! A durable work queue with leases, on SQLite, PostgreSQL or MariaDB. It knows nothing about images.
//!
//! * [`Database`] opens the pools. Reads use [`Database::reads`]; every write goes through [`Database::write`], which
//!   commits queued writes as a group and returns after the commit.
//! * A work item is a row in a *lane*. [`enqueue`] joins the caller's transaction, so that a record and its work commit
//!   together. [`claim()`] gives work items to a *holder*, whose single lease row covers all its claims.
//! * Each claim raises the *fence* of the work item. A settlement names the fence of its claim, and has no effect if the
//!   item was meanwhile claimed by another holder.
//! * Work items of a lane are claimed by priority; within one priority, their fair keys take turns.
//! * [`Workers`] perform the work of one lane, and [`Bell`] wakes them.
//!
//! **Invariant:** a confirmed write is on disk. An enqueued work item is performed, settled or given up with a reason;
//! it is never lost and never has two holders.

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
