"""The search itself: spaces, policy, algorithms, journal, leases and the gRPC service. It knows no Kubernetes."""
