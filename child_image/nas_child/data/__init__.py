"""Data sets of images: reading them, and dividing them so that a search never sees the test set."""
