//! domicile-node-protocol
