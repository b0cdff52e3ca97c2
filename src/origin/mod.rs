//! The embedded HTTP origin that `uget serve` and `uget bench` use.
