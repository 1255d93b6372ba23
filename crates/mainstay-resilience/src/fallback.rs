//! A call that failed gets another answer.
