"""`nas validate`: checks a manifest."""

from nas_cli.commands.options import Manifest, Overrides


def validate(file: Manifest, overrides: Overrides = None) -> None:
    """Check a manifest without running it, and say what it asks for.

    Examples:
      [bold]nas validate search.yaml[/]

      [bold]nas validate search.yaml --set spec.budget.maxTrials=100[/]
    """
    from rich.console import Console

    from nas_cli.manifest import describe, read_manifest

    search = read_manifest(file, overrides)
    Console(highlight=False, soft_wrap=True).print(f"[green]{file} is valid.[/]\n{describe(search)}")
