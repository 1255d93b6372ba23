//! How many extra attempts all calls together may make.
