//! domicile-chunker
