//! Compares what seeds give with what others hold, a piece at a time.
//!
//! Chosen is a placement that a live seed has verified. Another holder in its cluster is asked, over its long poll, to read
//! a piece of the object from the seed and to compare it with its own copy. Two witnesses with different bytes remove the
//! seed, and the preheats are told whose objects it settled.
//!
//! **Invariant:** a check waits for nobody longer than [`ANSWER_WAIT`] for each witness, and reads one piece for each. A
//! seed is removed, its holdings forgotten and its preheats told in one transaction.
//!
//! Non-goals: a seed with a bad disk and one that lies are not told apart; what no other peer holds is not checked.

pub(crate) mod check;
pub(crate) mod decide;
pub(crate) mod draw;
pub(crate) mod subject;
