//! A payment provider for development: idempotent charges, and tokens that choose how it misbehaves.
