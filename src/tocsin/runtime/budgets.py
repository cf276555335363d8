"""The budgets of units that all nodes of a provider spend from together, whatever kind of node and chain they are."""

from tocsin.config.tree import Provider, Tree
from tocsin.rpc.pacing import Budget


class Budgets:
    """One purse for each provider that has a budget."""

    def __init__(self) -> None:
        self._providers: dict[str, tuple[Provider, Budget]] = {}

    def apply(self, tree: Tree) -> None:
        """Bring the budgets of a configuration into force; one that is the same grants no second hour's worth."""
        self._providers = {
            provider.name: (provider, self._kept(provider) or Budget(provider.budget)) for provider in tree.providers
        }

    def of(self, name: str) -> tuple[Provider | None, Budget | None]:
        """Return a provider, and the purse of its nodes; nothing of one without a budget."""
        return self._providers.get(name, (None, None))

    def _kept(self, provider: Provider) -> Budget | None:
        before, budget = self._providers.get(provider.name, (None, None))
        return budget if before is not None and before.budget == provider.budget else None
