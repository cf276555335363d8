"""Fixtures that more than one folder of tests uses, and how long examples may take: tests assert no times."""

from hypothesis import HealthCheck, Phase, settings

pytest_plugins = ("tests.support.anvil", "tests.support.broker", "tests.support.ci")

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
# For runs of which the verdict alone counts: the same examples each time, and no search for the smallest that fails.
settings.register_profile("verdict", settings.get_profile("ci"), phases=(Phase.explicit, Phase.generate))
