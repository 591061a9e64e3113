"""Writes the page: all text, numbers and drawings of a report in one file that needs nothing else."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from nas_api.architectures import ConvNet, Discrete
from nas_api.manifest import dump_manifest

from nas_cli.drawing.architecture import draw_architecture
from nas_cli.reporting import tables
from nas_cli.reporting.architecture_lines import architecture_lines
from nas_cli.reporting.course import ahead_of_twin, search_chart
from nas_cli.reporting.facts import Fact, key_facts, state_of
from nas_cli.reporting.inline_svg import inline_svg
from nas_cli.reporting.material import Material
from nas_cli.reporting.policy import policy_charts
from nas_cli.reporting.pools import pool_chart, pool_uses
from nas_cli.reporting.prices import costs
from nas_cli.reporting.trade_off import trade_off_charts
from nas_cli.search_results import architecture_of

_PACKAGE = "nas_cli.reporting"
_DRAWING = 4.6  # inches in width: narrow, so that its text can be read on a phone


@dataclass(frozen=True, slots=True)
class Drawn:
    """An architecture of the page.

    Attributes:
        title: its heading.
        facts: what is known of it.
        svg: its drawing; empty of what is a list of choices.
        lines: itself in words.
        is_open: whether the words are shown at once, since the drawing does not say enough on every screen.
    """

    title: str
    facts: Sequence[Fact]
    svg: Markup
    lines: Sequence[str]
    is_open: bool


def render(material: Material, prices: Mapping[str, float], currency: str) -> str:
    """The page.

    Args:
        material: what it tells of.
        prices: of an hour of a worker, of those pools whose price is known.
        currency: of the prices.
    """
    environment = Environment(
        loader=PackageLoader(_PACKAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = files(_PACKAGE).joinpath("templates", "report.js").read_text()
    uses = pool_uses(material.leases)
    cost = costs(uses, prices)
    return environment.get_template("report.html.jinja").render(
        search=material.search,
        state=state_of(material),
        remarks=material.remarks,
        read_at=datetime.fromtimestamp(material.read_at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        facts=key_facts(material, cost, currency),
        course=search_chart(material.finished, material.updates, material.twin) if material.finished else None,
        ahead=ahead_of_twin(material.finished, material.twin) if material.finished and material.twin else "",
        policy=policy_charts(material.updates),
        drawn=[_drawn(material, rank) for rank in range(len(material.top))],
        trade_offs=trade_off_charts(material.finished),
        fronts=tables.fronts(material.finished),
        pools=pool_chart(material.leases),
        pool_table=tables.pool_table(uses, cost, currency) if uses else None,
        savings=tables.saved(material.finished),
        failures=tables.failure_table(material.finished),
        final=tables.final_table(material.final_trainings),
        trained=tables.trained_table(material.trained),
        manifest=dump_manifest(material.search),
        where=material.where,
        # Both are of this package: what is inserted into them nowhere comes from outside.
        style=Markup(files(_PACKAGE).joinpath("templates", "report.css").read_text()),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _drawn(material: Material, rank: int) -> Drawn:
    record, shape = material.top[rank], material.data_shape
    architecture = architecture_of(record)
    svg = ""
    if not isinstance(architecture, Discrete):
        image, classes = (shape.image, shape.classes) if shape else (None, None)
        svg = inline_svg(draw_architecture(architecture, "", image, classes, _DRAWING), f"drawing{rank}")
    return Drawn(
        title=f"Trial {record.sampled.trial}",
        facts=tables.trial_facts(record, material.search.spec.reward),
        svg=Markup(svg),  # noqa: S704 - Matplotlib escapes the text that it draws
        lines=architecture_lines(architecture),
        is_open=not isinstance(architecture, ConvNet),
    )
