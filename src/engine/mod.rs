//! The loop: claim, decide, commit; due timers the same way.
