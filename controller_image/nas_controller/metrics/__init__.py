"""Prometheus metrics of a controller. They observe the search and are no part of it: only `command` imports them."""

from prometheus_client import disable_created_metrics

# The time at which each counter began would be one more series for each of them.
disable_created_metrics()
