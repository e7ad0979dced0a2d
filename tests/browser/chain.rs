//! The whole chain: an engine, `watch`, the page.
