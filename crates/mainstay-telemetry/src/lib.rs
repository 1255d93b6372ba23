//! Logs from settings.
