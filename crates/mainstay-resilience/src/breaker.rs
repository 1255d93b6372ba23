//! A service that fails is left alone for a while.
