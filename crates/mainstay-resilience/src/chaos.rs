//! Latency, errors and aborts at a rate, for tests.
