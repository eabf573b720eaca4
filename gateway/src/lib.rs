//! domicile
