"""Tocsin: a blockchain node watchdog and on-chain derivatives monitor."""

__version__ = "0.1.0"
