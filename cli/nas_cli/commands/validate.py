"""`nas validate`: checks a manifest."""

from nas_cli.commands.options import Manifest, Overrides
from nas_cli.terminal import stdout


def validate(file: Manifest, overrides: Overrides = None) -> None:
    """Check a manifest without running it, and say what it asks for.

    Examples:
      [bold]nas validate search.yaml[/]

      [bold]nas validate search.yaml --set spec.budget.maxTrials=100[/]
    """
    from rich.text import Text

    from nas_cli.manifest import describe, read_manifest

    search = read_manifest(file, overrides)
    stdout().print(Text.assemble((f"{file} is valid.\n", "green"), describe(search)))
