//! The smallest services on mainstay.
