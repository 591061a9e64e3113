"""The panels that dashboards are made of: one look, and one meaning of each colour."""

from collections.abc import Mapping
from string import ascii_uppercase
from types import MappingProxyType
from typing import NamedTuple

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, statetimeline, text, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import heatmap as heatmap_kinds
from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    DynamicConfigValue,
    FieldColorModeId,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

from tools.dashboards.colours import CALM, PALE, Colours, Steps

DATASOURCE = kinds.DataSourceRef(type_val="prometheus", uid="${datasource}")

NONE: Colours = MappingProxyType({})


class Series(NamedTuple):
    """A query and what its series are called."""

    query: str
    legend: str


def stat_panel(
    title: str,
    description: str,
    query: str,
    unit: str,
    *,
    width: int = 4,
    steps: Steps = ((None, CALM),),
    decimals: int | None = None,
    nothing: str = "none",
    legend: str = "",
    colours: Colours = NONE,
) -> stat.Panel:
    """One number, coloured by `steps`. `nothing` stands for no data and for NaN.

    With a `legend` the name of the series is shown, not its number, in its colour of `colours`.
    """
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .height(4)
        .span(width)
        .unit(unit)
        .thresholds(thresholds(steps))
        .color_scheme(builders.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .mappings([nan_as(nothing)])
        .no_value(nothing)
        .graph_mode(kinds.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["last"]))
        .text_mode(kinds.BigValueTextMode.NAME if legend else kinds.BigValueTextMode.VALUE)
        .with_target(target(query, legend).instant())
    )
    for name, colour in colours.items():
        panel = panel.override_by_name(name, [_fixed(colour)])
    return panel if decimals is None else panel.decimals(decimals)


def lines(
    title: str,
    description: str,
    unit: str,
    *series: Series,
    width: int = 12,
    minimum: float | None = 0,
    maximum: float | None = None,
    interval: str = "",
    colours: Colours = NONE,
) -> timeseries.Panel:
    """Lines over time. `interval`: the shortest between two points. `colours`: of series whose name has a meaning."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .height(8)
        .span(width)
        .unit(unit)
        .line_width(2)
        .fill_opacity(0)
        .show_points(kinds.VisibilityMode.AUTO)
        .span_nulls(3_600_000)  # a line goes on after a pause of up to an hour, such as that of a restart
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
        .legend(_legend(kinds.LegendDisplayMode.TABLE, "lastNotNull", "mean", "max").sort_by("Max").sort_desc(True))
        .color_scheme(builders.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    )
    for ref, one in zip(ascii_uppercase, series, strict=False):
        panel = panel.with_target(target(one.query, one.legend, ref).range())
    for name, colour in colours.items():
        panel = panel.override_by_name(name, [_fixed(colour)])
    if minimum is not None:
        panel = panel.min(minimum)
    if maximum is not None:
        panel = panel.max(maximum)
    return panel.interval(interval) if interval else panel


def areas(
    title: str,
    description: str,
    unit: str,
    *series: Series,
    width: int = 12,
    interval: str = "",
    colours: Colours = NONE,
) -> timeseries.Panel:
    """Parts of a whole over time, on top of each other."""
    panel = lines(title, description, unit, *series, width=width, interval=interval, colours=colours)
    return panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL)).fill_opacity(60).line_width(1)


def bars(
    title: str,
    description: str,
    unit: str,
    *series: Series,
    width: int = 12,
    interval: str = "2m",
    colours: Colours = NONE,
) -> timeseries.Panel:
    """What has happened in each interval, on top of each other."""
    panel = areas(title, description, unit, *series, width=width, interval=interval, colours=colours)
    panel = panel.draw_style(kinds.GraphDrawStyle.BARS).fill_opacity(80).line_width(0)
    return panel.legend(_legend(kinds.LegendDisplayMode.LIST))


def heat(title: str, description: str, unit: str, query: str, *, width: int = 12) -> heatmap.Panel:
    """How the values of a histogram spread over time. `query` has the label `le`."""
    colours = heatmap.HeatmapColorOptions().mode(heatmap_kinds.HeatmapColorMode.SCHEME).scheme("Blues").steps(32)
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .height(8)
        .span(width)
        .interval("1m")
        .calculate(False)
        .color(colours)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .with_target(target(query, "{{le}}").range().format(PromQueryFormat.HEATMAP))
    )


def timeline(
    title: str, description: str, series: Series, values: Mapping[int, tuple[str, str]], *, width: int = 12
) -> statetimeline.Panel:
    """A lane for each series. `values`: what each value means, and its colour."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .height(8)
        .span(width)
        .unit("none")
        .fill_opacity(75)
        .line_width(0)
        .show_value(kinds.VisibilityMode.NEVER)
        .mappings([_values(values)])
        .color_scheme(builders.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.SINGLE))
        .legend(common.VizLegendOptions().show_legend(True).placement(kinds.LegendPlacement.BOTTOM))
        .with_target(target(series.query, series.legend).range())
    )


def words(title: str, content: str, *, width: int = 12, height: int = 8) -> text.Panel:
    """A text in Markdown."""
    return text.Panel().title(title).height(height).span(width).mode(TextMode.MARKDOWN).content(content)


def target(query: str, legend: str, ref: str = "A") -> prometheus.Dataquery:
    """A query, neither instant nor over a range yet. `ref` tells it from others of the panel."""
    return prometheus.Dataquery().ref_id(ref).expr(query).legend_format(legend).datasource(DATASOURCE)


def _legend(mode: kinds.LegendDisplayMode, *calculations: str) -> common.VizLegendOptions:
    options = common.VizLegendOptions().show_legend(True).display_mode(mode)
    return options.placement(kinds.LegendPlacement.BOTTOM).calcs(list(calculations))


def thresholds(steps: Steps) -> builders.ThresholdsConfig:
    """The colours of numbers."""
    found = [Threshold(value, colour) for value, colour in steps]
    return builders.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


def _fixed(colour: str) -> DynamicConfigValue:
    return DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})


def _values(values: Mapping[int, tuple[str, str]]) -> ValueMapping:
    return ValueMap(
        {str(value): ValueMappingResult(text=said, color=colour) for value, (said, colour) in values.items()}
    )


def nan_as(said: str) -> ValueMapping:
    """Shows words where there is no number."""
    result = ValueMappingResult(text=said, color=PALE)
    return SpecialValueMap(DashboardSpecialValueMapOptions(SpecialValueMatch.NULL_AND_NAN, result))
