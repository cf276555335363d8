"""The configuration: TOML files in, one checked tree and the core's settings out."""
