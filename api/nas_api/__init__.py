"""The contract of KubeNAS: the manifest, the architectures and the gRPC services.

Every other part depends on this package and none of them on each other. It needs neither torch nor Kubernetes.
"""
