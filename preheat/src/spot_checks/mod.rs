//! Compares the bytes that seeds send with other holders' copies, one part at a time.
//!
//! A placement that a live seed has verified is drawn. Another holder in its cluster is asked, on its long poll, to
//! read a part of the object from the seed and to compare it with its own copy. Two witnesses with different bytes
//! remove the seed; the preheats whose objects it settled get a note.
//!
//! **Invariant:** a check waits at most one minute for each witness, and reads one part for each. A seed is removed,
//! its holdings deleted and its preheats noted in one transaction.
//!
//! Non-goals: a bad disk and a lying seed are not distinguished; an object without another holder is not checked.

pub(crate) mod check;
pub(crate) mod decide;
pub(crate) mod draw;
pub(crate) mod subject;
