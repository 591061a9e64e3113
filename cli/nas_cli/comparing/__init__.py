"""Compares searches: which found better architectures in the same number of trials (paper, section 5)."""
