//! End to end, in process: the real front against a registry that can be silenced.
