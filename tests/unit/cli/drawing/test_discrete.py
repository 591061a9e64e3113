"""The drawing of choices: a list, and a table for each repeat."""

from nas_api.architectures import Discrete
from nas_cli.drawing.discrete import draw_discrete


def drawn(**choices: object) -> list[str]:
    architecture = Discrete.model_validate(
        {"decisions": [{"name": name.replace("__", "."), "value": value} for name, value in choices.items()]}
    )
    axes = draw_discrete(architecture, "choices: trial 7").axes[0]
    assert axes.get_title() == "choices: trial 7"
    rows: dict[float, list[str]] = {}
    for text in axes.texts:
        rows.setdefault(text.get_position()[1], []).append(text.get_text())
    return [" ".join(row).strip() for _, row in sorted(rows.items())]


def test_every_choice_is_a_line_and_every_round_a_row() -> None:
    assert drawn(width=64, layers__0__heads=2, layers__0__bias=True, layers__1__heads=4, rate=0.1) == [
        "width 64",
        "layers heads bias",
        "0 2 true",
        "1 4",
        "rate 0.1",
    ]


def test_text_is_written_as_it_is() -> None:
    assert drawn(formula="$x^2$") == ["formula $x^2$"]
