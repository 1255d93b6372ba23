//! The shared words: request context, ids, deadline, rejection, outcome.
