//! domicile-compliance
