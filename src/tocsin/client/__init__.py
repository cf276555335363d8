"""For those who subscribe to alerts.

`Subscriber` hands over every alert of one or several watchdogs, whatever dies meanwhile; docs/how-to/subscribe.md:

    async with Subscriber(url, watchdogs=["ams/host-a"], consumer="pager", key=key, path="pager.db") as alerts:
        async for message in alerts:
            async with message.transaction() as db:  # with the cursor, in one transaction
                db.execute("INSERT INTO page VALUES (?, ?)", (message.id, message.summary))

`Vantages` asks that k of n watchers see an alert; it is pure and needs nothing of the daemon:

    watch = Vantages(need=2, of=("ams/host-a", "ams/host-b"))
    for change in watch.alert(message.data, now_s):
        page(change)
"""

from tocsin.client.message import Message, Notice, NoticeKind
from tocsin.client.subscriber import Subscriber
from tocsin.client.vantage import Change, Vantages, Verdict

__all__ = ["Change", "Message", "Notice", "NoticeKind", "Subscriber", "Vantages", "Verdict"]
