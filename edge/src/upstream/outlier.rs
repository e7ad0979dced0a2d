//! outlier
