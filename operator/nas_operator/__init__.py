"""The only part that knows Kubernetes. It needs no torch."""
