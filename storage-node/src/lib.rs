//! domicile-storage-node
