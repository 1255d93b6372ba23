//! Sources in, one typed and validated value out.
