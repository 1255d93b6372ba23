//! A sample order service that stands on mainstay.
