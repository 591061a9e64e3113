"""Tables: a row for each search or pool, a column for each question."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from types import MappingProxyType
from typing import NamedTuple

from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from tools.dashboards.colours import Colours, Steps
from tools.dashboards.panels import DATASOURCE, NONE, nan_as, target, thresholds

_COLOURED = DynamicConfigValue("custom.cellOptions", {"type": "color-text"})


class Column(NamedTuple):
    """A column of a table: what a query finds for each row.

    Attributes:
        query: It must have the labels that tell rows apart, and no other. With `label` it has that one too.
        name: Shown above it.
        unit: Of its numbers.
        label: To show the value of this label, not the number.
        steps: Colours of its numbers.
        decimals: Of its numbers.
        words: To show in place of numbers.
        colours: Of the values of `label`.
    """

    query: str
    name: str
    unit: str = "none"
    label: str = ""
    steps: Steps = ()
    decimals: int | None = None
    words: Mapping[int, str] = MappingProxyType({})
    colours: Colours = NONE


def table_of(
    title: str,
    description: str,
    rows: Sequence[str],
    *columns: Column,
    width: int = 24,
    height: int = 9,
    links: Mapping[str, tuple[str, str]] | None = None,
) -> table.Panel:
    """A row for each combination of labels.

    Args:
        title: of the panel.
        description: of the panel.
        rows: the labels that tell rows apart. Shown under their own names, by which links refer to them.
        columns: beside them.
        width: in columns of the grid, which has 24.
        height: in rows of the grid.
        links: by label, title and URL of the links that its values are.
    """
    panel = table.Panel().title(title).description(description).datasource(DATASOURCE).height(height).span(width)
    names, hidden = {label: label for label in rows}, {"Time": True}
    for ref, column in zip(ascii_uppercase, columns, strict=False):
        field = f"Value #{ref}"
        panel = panel.with_target(target(column.query, column.name, ref).format(PromQueryFormat.TABLE).instant())
        names[column.label or field] = column.name
        if column.label:
            hidden[field] = True
        panel = panel.override_by_name(column.name, _cell(column))
    for label, (link, url) in (links or {}).items():
        panel = panel.override_by_name(label, [DynamicConfigValue("links", [{"title": link, "url": url}])])
    order = {name: place for place, name in enumerate(names)}
    organize = {"excludeByName": hidden, "renameByName": names, "indexByName": order}
    return (
        panel.transformations(
            [DataTransformerConfig("merge", options={}), DataTransformerConfig("organize", options=organize)]
        )
        .no_value("-")
        .filterable(True)
    )


def _cell(column: Column) -> list[DynamicConfigValue]:
    if column.label:
        coloured = {name: ValueMappingResult(text=name, color=colour) for name, colour in column.colours.items()}
        return [DynamicConfigValue("mappings", [ValueMap(coloured)]), _COLOURED]
    words = {str(value): ValueMappingResult(text=said) for value, said in column.words.items()}
    mappings = [*([ValueMap(words)] if words else ()), nan_as("-")]
    cell = [DynamicConfigValue("unit", column.unit), DynamicConfigValue("mappings", mappings)]
    if column.decimals is not None:
        cell.append(DynamicConfigValue("decimals", column.decimals))
    if column.steps:
        cell.append(DynamicConfigValue("thresholds", thresholds(column.steps).build()))
        cell.append(_COLOURED)
    return cell
