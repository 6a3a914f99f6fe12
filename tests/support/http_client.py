"""HTTP as curl would do it: one connection for each call."""

from __future__ import annotations

import dataclasses
import http.client
import json
import ssl
from typing import Any

from agentdesk_test import address_of


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]


def lines_of(headers: dict[str, str | list[str]]) -> list[tuple[str, str]]:
    """One line for each value of a header."""
    return [(name, value) for name, values in headers.items()
            for value in ([values] if isinstance(values, str) else values)]


def call(address: str, method: str, path: str, body: Any = None, timeout: float = 60,
         tls: ssl.SSLContext | None = None, source: str = "",
         **headers: str | list[str]) -> Answer:
    """Underscores in the names of headers stand for dashes; an object as body is sent as JSON.

    `source`: the address of this machine that the call comes from."""
    named = http.client.HTTPMessage()
    for name, value in lines_of(headers):
        named[name.replace("_", "-")] = value
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        if "Content-Type" not in named:
            named["Content-Type"] = "application/json"
    options: dict[str, Any] = {"timeout": timeout, "source_address": (source, 0) if source else None}
    connection = (http.client.HTTPConnection(*address_of(address), **options) if tls is None
                  else http.client.HTTPSConnection(*address_of(address), context=tls, **options))
    try:
        connection.request(method, path, body, named)
        response = connection.getresponse()
        text = response.read().decode()
        return Answer(response.status,
                      {name.lower(): value for name, value in response.getheaders()}, text)
    finally:
        connection.close()
