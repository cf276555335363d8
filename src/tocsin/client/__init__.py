"""For those who subscribe to alerts: pure helpers that need nothing of the daemon.

watch = Vantages(need=2, of=("ams/host-a", "ams/host-b"))
for change in watch.alert(data, now_s):      # `data` of an alert event of any of the watchers
    page(change)
"""

from tocsin.client.vantage import Change, Vantages, Verdict

__all__ = ["Change", "Vantages", "Verdict"]
