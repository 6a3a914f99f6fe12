"""The routes that docs/openapi.yaml names; api_documents_test holds the gateway to them."""

from __future__ import annotations

import yaml
from agentdesk_test import ROOT

METHODS = ("get", "post", "put", "patch", "delete")

Route = tuple[str, str]  # its method and its path, with names in braces


def routes() -> dict[Route, bool]:
    """Each with whether it is open to everyone: `security` is an empty list."""
    document = yaml.safe_load((ROOT / "docs/openapi.yaml").read_text(encoding="utf-8"))
    return {(method.upper(), path): operation.get("security") == []
            for path, operations in document["paths"].items()
            for method, operation in operations.items() if method in METHODS}
