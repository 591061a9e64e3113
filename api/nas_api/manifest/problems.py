"""`ManifestError`: everything that is wrong with a manifest, each with its place."""

from dataclasses import dataclass

from nas_api.spec.schema import FieldPath


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        source: where the user wrote it: the name of the file, or an override.
        message: what is wrong and what is allowed.
        path: of the field, as in YAML, such as `spec.pools[0].name`. Empty: the whole source.
        line: in the file, from 1. 0: the whole file, or an override.
        column: in the file, from 1.
    """

    source: str
    message: str
    path: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}:{self.column}" if self.line else self.source
        return ": ".join(part for part in (place, self.path, self.message) if part)


class ManifestError(Exception):
    """A manifest cannot be used. As text it has one line for each problem, in the order of the file."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def format_path(path: FieldPath) -> str:
    """The path as people write it: `spec.pools[0].resources["nvidia.com/gpu"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part and not set(part) & set('.[]"=\\ '):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text
