//! domicile-swarm
