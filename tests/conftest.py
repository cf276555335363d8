"""Fixtures that more than one folder of tests uses, and how long examples may take: tests assert no times."""

from hypothesis import HealthCheck, settings

pytest_plugins = ("tests.support.anvil", "tests.support.broker", "tests.support.ci")

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
