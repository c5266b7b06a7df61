//! Pluggable destinations: builds requests, reads answers; does no I/O.
