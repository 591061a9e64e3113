"""Prometheus metrics of the operator."""

from prometheus_client import disable_created_metrics

# The time at which each counter began would be one more series for each of them.
disable_created_metrics()
