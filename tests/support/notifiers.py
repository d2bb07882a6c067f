"""Notifiers of Airflow as people write them, which keep what they are told."""

import threading
from typing import Any

from airflow.sdk import BaseNotifier

TOLD: list[tuple[str, dict[str, Any], bool]] = []
"""What was said, in which context, and whether in the main thread."""


class Recorder(BaseNotifier):
    """Has a template, as those of Slack and PagerDuty do."""

    template_fields = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def notify(self, context: Any) -> None:
        """Keep what is told."""
        self.keep(context)

    def keep(self, context: Any) -> None:
        main = threading.current_thread() is threading.main_thread()
        TOLD.append((self.text, dict(context), main))
        context["spoilt"] = True


class AsyncRecorder(Recorder):
    """For deadlines only."""

    notify = BaseNotifier.notify

    async def async_notify(self, context: Any) -> None:
        self.keep(context)


class Broken(BaseNotifier):
    """Its service does not answer."""

    def notify(self, _context: Any) -> None:
        raise ConnectionError("no answer\nfrom the service")
