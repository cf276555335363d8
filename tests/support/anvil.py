"""A real anvil on a free loopback port."""
