//! So long a call may take.
