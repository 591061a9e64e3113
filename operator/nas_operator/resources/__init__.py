"""Pure builders of the objects that a search needs in the cluster, one module for each kind of thing."""
