"""Compound v2 and what has grown out of it: a comptroller and a token per market; by flags of one set of functions."""
