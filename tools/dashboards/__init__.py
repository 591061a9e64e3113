"""The Grafana dashboards of the chart, in code: one module each, and what they have in common.

`python -m tools.dashboards` writes them as JSON; with `--check` it says whether they are up to date.
"""
