//! Who would have to wait is refused.
