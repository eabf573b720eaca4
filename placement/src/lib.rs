//! domicile-placement
