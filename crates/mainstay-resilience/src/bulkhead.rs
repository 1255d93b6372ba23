//! So many calls at once, and perhaps so many waiting.
