//! As many calls at once as the service can take, found out by measuring.
