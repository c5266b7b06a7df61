//! The one place that speaks HTTP outward: time limits, sizes, redaction, tokens.
