"""Can this cluster run this manifest? What is read of the cluster, and checks of it that are pure functions."""
