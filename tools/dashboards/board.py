"""`board`: a dashboard of rows of panels, with the variables and links that all of them have.

In the schema that every Grafana reads, not in that of version 12 and later alone.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    Panel,
    RowPanel,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from tools.dashboards.panels import DATASOURCE

TAG = "kubenas"
Variable: TypeAlias = Builder[VariableModel]


class Row(NamedTuple):
    """Panels below a heading.

    Attributes:
        title: The heading.
        panels: From left to right, over as many lines as they need.
        collapsed: Whether a reader must open it.
    """

    title: str
    panels: Sequence[Builder[Panel]]
    collapsed: bool = False


def board(
    uid: str, title: str, description: str, variables: Sequence[Variable], rows: Sequence[Row], *, since: str = "now-6h"
) -> Dashboard:
    """A dashboard.

    Args:
        uid: by which others link to it. It never changes.
        title: behind the name of the project.
        description: what it answers.
        variables: beside the data source.
        rows: its panels.
        since: the time range that it opens with.
    """
    made = (
        builders.Dashboard(f"KubeNAS / {title}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("browser")
        .time(since, "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .editable()
        .link(
            builders.DashboardLink("KubeNAS")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .placement("")  # in sight, not in the menu
            .include_vars(True)
            .keep_time(True)
        )
        .variables([builders.DatasourceVariable("datasource").label("Data source").type("prometheus"), *variables])
    )
    for row in rows:
        heading = builders.Row(row.title)
        if row.collapsed:
            for panel in row.panels:
                heading = heading.with_panel(panel)
        made = made.with_row(heading)
        if not row.collapsed:
            for panel in row.panels:
                made = made.with_panel(panel)
    built = made.build()
    for number, part in enumerate(_parts(built.panels or ()), start=1):
        part.id_val = number
    return built


def values_of(name: str, label: str, metric: str, *, many: bool = True, pattern: str = ".*") -> Variable:
    """A variable with the values of the label of its name.

    Args:
        name: of the variable and of the label.
        label: shown before it.
        metric: with a selector, that has the label.
        many: whether more than one can be chosen, and all of them, which `pattern` then stands for.
        pattern: such as `.+`, which leaves out series without the label.
    """
    query = f"label_values({metric}, {name})"
    variable = (
        builders.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .definition(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )
    if not many:
        return variable
    everything = VariableOption(text="All", value="$__all", selected=True)
    return variable.multi(True).include_all(True).all_value(pattern).current(everything)


# Also searches that the operator alone knows, because their controllers say nothing.
_KNOWN = '__name__=~"nas_search_info|nas_search_condition"'
NAMESPACE = values_of("namespace", "Namespace", f"{{{_KNOWN}}}")
SEARCH = values_of("search", "Search", f'{{{_KNOWN}, namespace=~"$namespace"}}')
NAMESPACE_OF_CONDITIONS = values_of("namespace", "Namespace", "nas_search_condition")
POOL = values_of("pool", "Pool", 'nas_workers{namespace=~"$namespace", search=~"$search", pool!=""}', pattern=".+")
PRICE = (
    builders.TextBoxVariable("price")
    .label("Price of a worker hour")
    .description("In any currency. A worker is what holds the devices that its pool asks for.")
    .default_value("1")
    .current(VariableOption(text="1", value="1", selected=True))
)


def _parts(panels: Sequence[Panel | RowPanel]) -> Iterator[Panel | RowPanel]:
    for panel in panels:
        yield panel
        if isinstance(panel, RowPanel):
            yield from panel.panels or ()
