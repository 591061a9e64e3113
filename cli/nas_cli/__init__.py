"""The command line, `nas` and `kubectl nas`: composes the parts for a local run and shows results."""
