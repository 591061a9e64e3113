"""`python -m nas_cli`."""

from nas_cli.main import app

app(prog_name="nas")
