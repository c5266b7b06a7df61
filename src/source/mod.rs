//! Pluggable sources: how a message is verified and mapped to events. Builds and reads; does no I/O.
