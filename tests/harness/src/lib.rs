//! What the tests share: servers to run against, and kernels started for a test.

pub mod postgres;
