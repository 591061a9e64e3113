"""The trainer: from an architecture to a trained network, in a warm worker. It knows no policy."""
