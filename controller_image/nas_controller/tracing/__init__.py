"""OpenTelemetry traces of a controller. They observe the search and are no part of it: only `command` imports them."""
