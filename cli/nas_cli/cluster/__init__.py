"""Searches in a Kubernetes cluster, by the kubeconfig and with the rights of whoever asks."""
