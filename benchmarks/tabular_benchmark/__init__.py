"""Searches of tables that hold the training results of every architecture of a space: see `search_quality.py`."""
