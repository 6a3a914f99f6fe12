"""Tokens for tests: good ones, and whatever else somebody may show us."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import pathlib
import secrets
import subprocess
import time
from collections.abc import Iterable
from typing import Any

from agentdesk_test import BIN

ISSUER = "https://issuer.example"
PEOPLE = "https://people.example"
AUDIENCE = "agentdesk"
SCOPES = ("tickets:read", "tickets:write", "sessions:read", "answers:write", "agents:work",
          "events:read", "admin")

Metadata = list[tuple[str, str]]


def b64(value: bytes | str) -> str:
    raw = value.encode() if isinstance(value, str) else value
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Issuer:
    """An issuer that signs with a secret, so that a test can sign anything."""

    def __init__(self, name: str = ISSUER, kid: str = "key-1") -> None:
        self.name = name
        self.kid = kid
        self.secret = secrets.token_bytes(32)

    def key_set(self) -> str:
        key = {"kty": "oct", "k": b64(self.secret), "kid": self.kid, "alg": "HS256"}
        return json.dumps({"keys": [key]})

    def sign(self, header: dict[str, Any], claims: dict[str, Any],
             secret: bytes | None = None) -> str:
        text = f"{b64(json.dumps(header))}.{b64(json.dumps(claims))}"
        mac = hmac.digest(self.secret if secret is None else secret, text.encode(), hashlib.sha256)
        return f"{text}.{b64(mac)}"

    def claims(self, subject: str = "alice", **more: Any) -> dict[str, Any]:
        """Good for an hour and for every call; an argument of None leaves a claim out."""
        claims = {"iss": self.name, "aud": AUDIENCE, "sub": subject, "exp": int(time.time()) + 3600,
                  "scope": " ".join(SCOPES), **more}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, subject: str = "alice", **more: Any) -> str:
        return self.sign({"alg": "HS256", "kid": self.kid}, self.claims(subject, **more))


def make_key(folder: pathlib.Path, algorithm: str) -> tuple[pathlib.Path, pathlib.Path]:
    """A key pair of `agentdesk token key`: what signs, what checks."""
    signing, keys = folder / f"{algorithm}.key", folder / f"{algorithm}.json"
    subprocess.run([str(BIN / "agentdesk"), "token", "key", f"--alg={algorithm}",
                    f"--signing_key={signing}", f"--keys={keys}"], check=True, capture_output=True)
    return signing, keys


def auth_config(folder: pathlib.Path, issuers: list[dict[str, Any]], gateways: list[str],
                **more: Any) -> pathlib.Path:
    path = folder / "auth.json"
    path.write_text(json.dumps({"issuers": issuers, "gateways": gateways, **more}))
    return path


def authentication(folder: pathlib.Path, issuer: Issuer) -> tuple[list[str], list[str]]:
    """The flags of a core and of a gateway that believe this issuer, and nobody else."""
    (folder / "keys.json").write_text(issuer.key_set())
    (folder / "gateway.token").write_text(issuer.token("gateway"))
    config = auth_config(folder, [{"issuer": issuer.name, "audiences": [AUDIENCE],
                                   "algorithms": ["HS256"], "keys_file": "keys.json"}],
                         gateways=["gateway"])
    return [f"--auth_config={config}"], [f"--auth_config={config}",
                                         f"--core_token_file={folder}/gateway.token"]


def two_issuers(people: pathlib.Path) -> list[dict[str, Any]]:
    """One that shares a secret with us, in keys.json, and one whose people have the public key `people`."""
    return [{"issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["HS256"],
             "keys_file": "keys.json"},
            {"issuer": PEOPLE, "audiences": [AUDIENCE], "algorithms": ["ES256"],
             "keys_file": str(people), "subject_prefix": "people:"}]


def bearer(token: str) -> Metadata:
    return [("authorization", f"Bearer {token}")]


def part_in(text: str, tokens: Iterable[str]) -> str:
    """The first part of any of these tokens that a text holds; empty: none."""
    return next((part for token in tokens for part in token.split(".")
                 if len(part) > 8 and part in text), "")


class As:
    """The desk's calls under one identity."""

    def __init__(self, desk: Any, metadata: Metadata) -> None:
        self._desk = desk
        self._metadata = metadata

    def __getattr__(self, service: str) -> Any:
        stub = getattr(self._desk, service)
        outer = self

        class Stub:
            def __getattr__(self, name: str) -> Any:
                method = getattr(stub, name)
                return lambda request: method(request, timeout=30, metadata=outer._metadata)
        return Stub()
