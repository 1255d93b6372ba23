//! The more a service refuses, the fewer calls it is sent.
