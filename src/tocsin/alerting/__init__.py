"""From findings to alerts: when a condition counts, when it is over, and what is said about it."""
