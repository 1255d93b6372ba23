//! A call that failed is sent again, when that may help.
