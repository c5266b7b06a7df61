//! What a trigger means: files to a compiled program, conditions to truth and the next instant it can change.
