"""Talking to nodes: one session per node, its prober, and websockets that only wake it."""
