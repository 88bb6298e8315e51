"""A webhook of a chat or a ticket system: an Airflow connection of kind http that a JSON document is posted to."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from airflow.providers.http.hooks.http import HttpHook
from airflow.providers.http.notifications.http import HttpNotifier
from requests import Response

PREFIX = "webhook:"
"""What a webhook is told from a mail address by, in the policy; the id of the connection follows."""
SECONDS = 30
_NOWHERE = logging.Logger("nowhere")  # noqa: LOG001 - apart from all others, so that no configuration leads it anywhere
_NOWHERE.addHandler(logging.NullHandler())


class Refused(Exception):
    """The other side did not take it; with the status that it answered."""


class _Hook(HttpHook):
    """Writes to no log: a chat's URL is its secret, and stands in errors; an answer may repeat what was sent."""

    log = _NOWHERE

    def check_response(self, response: Response) -> None:
        """Refused unless it was taken: a redirection was not, for what follows one is a GET that posts nothing."""
        if response.status_code // 100 != 2:
            raise Refused(f"it answered {response.status_code}")


class Webhook(HttpNotifier):
    """Posts one document to one connection."""

    def __init__(self, connection: str, document: dict[str, Any]) -> None:
        options = {"timeout": SECONDS, "allow_redirects": False, "check_response": True}
        super().__init__(http_conn_id=connection, json=document, extra_options=options)

    @cached_property
    def hook(self) -> HttpHook:
        """What posts."""
        return _Hook(method=self.method, http_conn_id=self.http_conn_id)
