//! Outbox lanes: batch, send, settle; retries, breaker, dead letters.
