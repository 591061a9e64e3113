"""What the operator makes for a search: pure functions from the search to Kubernetes objects."""
