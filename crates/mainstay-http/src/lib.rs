//! The HTTP and gRPC edge as tower layers.
