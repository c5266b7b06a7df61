//! The same decisions in virtual time: simulate.
