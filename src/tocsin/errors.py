r"""Exceptions, by what the caller can do about them.

    TocsinError
    |-- ConfigError          mend the file; carries every problem found, each with file, line and path
    |-- StoreError           the disk or the database
    |   |-- SchemaTooNew     use the newer program
    |   |-- StoreFull        free space; the journal stops first, the outbox last
    |   `-- CorruptRecord    the bytes are not what was written; names file and offset
    |-- BrokerError          the MQTT broker; what is queued stays queued
    |   `-- PublishRefused   the broker answered and said no (ACL, quota): carries the reason code
    |-- ControlError         the daemon cannot be asked: not running, no permission, hung
    `-- UsageError           the command line

A failed RPC call is not an exception: it is a `Fault` in an observation.
"""


class TocsinError(Exception):
    """Base of everything that Tocsin raises on purpose. The message says where and what to do."""


class ConfigError(TocsinError):
    """One or more mistakes in the configuration; `problems` has one line per mistake."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreError(TocsinError):
    """The state directory cannot be used as it is."""


class SchemaTooNew(StoreError):  # noqa: N818 - reads as the condition
    """The store was written by a newer program."""


class StoreFull(StoreError):  # noqa: N818 - reads as the condition
    """No space is left on the device that holds the state directory."""


class CorruptRecord(StoreError):  # noqa: N818 - reads as the condition
    """Recorded bytes fail their checksum or cannot be read."""


class BrokerError(TocsinError):
    """The broker cannot be reached or ended the connection."""


class PublishRefused(BrokerError):  # noqa: N818 - reads as the condition
    """The broker answered a publish with a refusal."""

    def __init__(self, topic: str, reason_code: int, reason: str, *, hint: str = "check its ACL") -> None:
        super().__init__(f"the broker refused {topic}: {reason} (0x{reason_code:02x}); {hint}")
        self.topic = topic
        self.reason_code = reason_code


class ControlError(TocsinError):
    """The running daemon cannot be asked."""


class UsageError(TocsinError):
    """A command was called in a way that it does not understand."""
