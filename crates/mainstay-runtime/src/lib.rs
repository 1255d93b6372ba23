//! Serve, named tasks, signals, drain.
