"""Frozen values that every layer shares; no behaviour beyond what follows from the value itself."""
