//! What random tests of decisions share.

pub mod kept;
