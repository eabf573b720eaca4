//! Members on loopback, and independent peers that look at them from outside.
