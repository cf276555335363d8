"""Fixtures that more than one folder of tests uses."""

pytest_plugins = ("tests.support.anvil", "tests.support.broker", "tests.support.ci")
