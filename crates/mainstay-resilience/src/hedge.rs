//! A call that takes long is sent a second time, and the first answer counts.
