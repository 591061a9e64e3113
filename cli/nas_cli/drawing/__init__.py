"""Pictures of a search and of an architecture."""
