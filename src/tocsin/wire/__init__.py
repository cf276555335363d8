"""Bytes to values and back: JSON-RPC, records of the journal, topics and messages."""
