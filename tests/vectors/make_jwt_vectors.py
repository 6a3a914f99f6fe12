"""Writes tests/vectors/jwt.json: tokens that a verifier must refuse, and good ones beside them.

In the manner of Wycheproof: each test says in a comment what is tried, and has a result. Everything is made
from fixed keys by arithmetic, so that the file is the same wherever it is made, and so that signatures can be
wrong in ways that no library for signing would let us choose.

`python3 tests/vectors/make_jwt_vectors.py` writes the file anew. tests/unit/base/jwt_vectors_test.cc runs it
through the servers' verifier.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import pathlib
from collections.abc import Callable
from typing import Any

FILE = pathlib.Path(__file__).parent / "jwt.json"
NOW = 1764547200  # 2025-12-01T00:00:00Z
ISSUER, AUDIENCE = "https://issuer.example", "agentdesk"
CLAIMS: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 600}

Sign = Callable[[bytes], bytes]


def b64(raw: bytes | str) -> str:
    raw = raw.encode() if isinstance(raw, str) else raw
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text_of(value: Any) -> bytes:
    """JSON of an object; text and bytes are taken as they are."""
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json.dumps(value, separators=(",", ":")).encode()


def token(header: Any, claims: Any, sign: Sign) -> str:
    signed = f"{b64(text_of(header))}.{b64(text_of(claims))}"
    return f"{signed}.{b64(sign(signed.encode()))}"


def sha256(message: bytes) -> int:
    return int.from_bytes(hashlib.sha256(message).digest(), "big")


def number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


class Es256:
    """ECDSA over P-256 (FIPS 186-5), by the textbook."""
    P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffff
    N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
    G = (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
         0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)
    name = "ES256"

    def __init__(self, secret: int) -> None:
        self.secret = secret
        self.x, self.y = self.times(secret)

    @classmethod
    def add(cls, a: tuple[int, int] | None, b: tuple[int, int] | None) -> tuple[int, int] | None:
        if a is None or b is None:
            return a or b
        if a[0] == b[0] and (a[1] + b[1]) % cls.P == 0:
            return None
        slope = ((3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, cls.P) if a == b
                 else (b[1] - a[1]) * pow(b[0] - a[0], -1, cls.P)) % cls.P
        x = (slope * slope - a[0] - b[0]) % cls.P
        return x, (slope * (a[0] - x) - a[1]) % cls.P

    @classmethod
    def times(cls, factor: int) -> tuple[int, int]:
        found, power = None, cls.G
        while factor:
            if factor & 1:
                found = cls.add(found, power)
            power, factor = cls.add(power, power), factor >> 1
        assert found is not None
        return found

    def numbers(self, message: bytes) -> tuple[int, int]:
        nonce = sha256(number(self.secret, 32) + message) % self.N
        r = self.times(nonce)[0] % self.N
        return r, pow(nonce, -1, self.N) * (sha256(message) + r * self.secret) % self.N

    def sign(self, message: bytes) -> bytes:
        r, s = self.numbers(message)
        return number(r, 32) + number(s, 32)

    def jwk(self) -> dict[str, str]:
        return {"kty": "EC", "crv": "P-256", "x": b64(number(self.x, 32)), "y": b64(number(self.y, 32))}

    def der(self) -> bytes:
        return (bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004") +
                number(self.x, 32) + number(self.y, 32))


class EdDsa:
    """Ed25519 (RFC 8032 section 5.1), by its appendix."""
    P = 2**255 - 19
    L = 2**252 + 27742317777372353535851937790883648493
    D = -121665 * pow(121666, -1, P) % P
    name = "EdDSA"

    def __init__(self, seed: bytes) -> None:
        digest = hashlib.sha512(seed).digest()
        self.secret = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
        self.prefix = digest[32:]
        self.public = self.times(self.secret)

    @classmethod
    def add(cls, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        product = cls.D * a[0] * b[0] * a[1] * b[1] % cls.P
        return ((a[0] * b[1] + a[1] * b[0]) * pow(1 + product, -1, cls.P) % cls.P,
                (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, cls.P) % cls.P)

    @classmethod
    def times(cls, factor: int) -> bytes:
        y = 4 * pow(5, -1, cls.P) % cls.P
        square = (y * y - 1) * pow(cls.D * y * y + 1, -1, cls.P) % cls.P
        x = pow(square, (cls.P + 3) // 8, cls.P)
        if (x * x - square) % cls.P:
            x = x * pow(2, (cls.P - 1) // 4, cls.P) % cls.P
        found, power = (0, 1), (x if x % 2 == 0 else cls.P - x, y)
        while factor:
            if factor & 1:
                found = cls.add(found, power)
            power, factor = cls.add(power, power), factor >> 1
        return (found[1] | (found[0] & 1) << 255).to_bytes(32, "little")

    def sign(self, message: bytes, more: int = 0) -> bytes:
        def hashed(*parts: bytes) -> int:
            return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % self.L
        nonce = hashed(self.prefix, message)
        point = self.times(nonce)
        s = (nonce + hashed(point, self.public, message) * self.secret) % self.L + more
        return point + s.to_bytes(32, "little")

    def jwk(self) -> dict[str, str]:
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(self.public)}

    def der(self) -> bytes:
        return bytes.fromhex("302a300506032b6570032100") + self.public


class Rs256:
    """RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2), whose padded text can be chosen."""
    N = int("9dc18f0c3a9e0516f83360025142bc77be6b0e1a0dbe697dbe5210e2b18f4f3dfd8ba85655f2936c2bb6dbc80e"
            "34055aa0e6dea9efcbc5a0b512a0477199691a0a81e9a19486ff84a896381b89078e77ff49d3ca1c2b4f88d3fe"
            "72f6c71d00c53664d1fd3d38f5eb1c5c5c3d93b5485efec7842ce9dc91efbb54c05c4525c59573a69325a41a4d"
            "c1473a4e2b7d9d5eac2f225a299b34f777baadce098b3557f4facb421bc2a546d61e513b8a7e02d46df4204f03"
            "35534fe208fdd32d3a2a97fd579e310b7c0e339c2266d2328d488f4d32f2a0fa15214396816b8cf46c7005454f"
            "0e6f312ab49f8918a2409a57e72521dd1171c78fa65c6e0b9729ef8ea4ae7d", 16)
    D = int("3d7a6508daff21f4a59d3fd92759dea0bbb074ba6a88be0ba6d3cc88cbb191ac12d70e2f372765944e24e0d9c1"
            "cf3c16e9858f58a27ec2f1b21f241f338219977068d86783be686d8655a45ff6b2df2e9c6a6502ea9f664b6872"
            "4cd3271d826358a349c26acd7be8b810b651b8f278d5ac6c8c72046154ee1c0f1737de2aae28c73d4243072b13"
            "2b0367ad07487449f557acacccfd5da69e6d4c5bd65f2cb8c4fcb2fce176f7f3637abc03372d82a35f0be2aba5"
            "d56b5ee6c7134e99f5d2a7366146200c8cc1ea27d7c91027a986df84a943c667e6e541a44d989f9e53ead702b0"
            "37f22190354841046d563bc0a8fa1996bcfa956478de3af88fdaadfe0d0f71", 16)
    SIZE = 256
    SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")  # section 9.2, note 1
    name = "RS256"

    def power(self, padded: bytes) -> bytes:
        return number(pow(int.from_bytes(padded, "big"), self.D, self.N), self.SIZE)

    def padded(self, text: bytes, kind: bytes = b"\x01", fill: bytes = b"\xff") -> bytes:
        return b"\x00" + kind + fill * (self.SIZE - 3 - len(text)) + b"\x00" + text

    def sign(self, message: bytes) -> bytes:
        return self.power(self.padded(self.SHA256 + hashlib.sha256(message).digest()))

    def pss(self, message: bytes, salt: bytes = bytes(32)) -> bytes:
        digest = hashlib.sha256(bytes(8) + hashlib.sha256(message).digest() + salt).digest()
        block = bytes(self.SIZE - 34 - len(salt)) + b"\x01" + salt
        mask = b"".join(hashlib.sha256(digest + number(i, 4)).digest() for i in range(8))[:len(block)]
        masked = bytes(a ^ b for a, b in zip(block, mask))
        return self.power(bytes([masked[0] & 0x7F]) + masked[1:] + digest + b"\xbc")

    def jwk(self) -> dict[str, str]:
        return {"kty": "RSA", "n": b64(number(self.N, self.SIZE)), "e": "AQAB"}

    def der(self) -> bytes:
        return bytes.fromhex("30820122300d06092a864886f70d01010105000382010f003082010a0282010100") + number(
            self.N, self.SIZE) + bytes.fromhex("0203010001")


class Hs256:
    name = "HS256"

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def sign(self, message: bytes) -> bytes:
        return hmac.digest(self.secret, message, hashlib.sha256)

    def jwk(self) -> dict[str, str]:
        return {"kty": "oct", "k": b64(self.secret)}


Key = Es256 | EdDsa | Rs256 | Hs256


class Group:
    """The tests of one set of keys."""

    def __init__(self, comment: str, keys: list[tuple[Key, str]]) -> None:
        self.comment = comment
        self.key, self.kid = keys[0]
        self.key_set = {"keys": [{**key.jwk(), "kid": kid, "alg": key.name} for key, kid in keys]}
        self.header = {"alg": self.key.name, "kid": self.kid}
        self.tests: list[dict[str, Any]] = []

    def add(self, comment: str, jwt: str, result: str = "invalid") -> None:
        self.tests.append({"comment": comment, "jwt": jwt, "result": result})

    def signed(self, comment: str, header: Any = None, claims: Any = None, result: str = "invalid") -> None:
        """A token that is signed as it should be."""
        self.add(comment, token(self.header if header is None else header,
                                CLAIMS if claims is None else claims, self.key.sign), result)

    def by(self, comment: str, sign: Sign, header: Any = None, result: str = "invalid") -> None:
        """A good token under a signature that `sign` makes of it."""
        self.add(comment, token(header or self.header, CLAIMS, sign), result)

    def good(self) -> str:
        return token(self.header, CLAIMS, self.key.sign)


def add_good(group: Group) -> None:
    group.signed("a good token", result="valid")
    group.signed("a type is said", {**group.header, "typ": "JWT"}, result="valid")
    group.signed("no kid, one key", {"alg": group.key.name}, result="valid")
    group.signed("what a header points to is not looked at", {
        **group.header, "jku": "https://evil.example/keys", "x5u": "https://evil.example/chain",
        "x5c": ["AA=="], "jwk": Es256(99).jwk()}, result="valid")
    group.signed("an unknown member of the header", {**group.header, "new": [1, {"a": None}]},
                 result="valid")


def add_parts(group: Group) -> None:
    """Other texts of a good token."""
    good = group.good()
    head, body, signature = good.split(".")
    raw = unb64(signature)
    for comment, jwt in {
        "empty": "", "two dots": "..", "two parts": f"{head}.{body}", "no signature": f"{head}.{body}.",
        "four parts": f"{good}.{signature}", "a dot at the end": f"{good}.", "a dot before": f".{good}",
        "five parts, as encrypted ones have": f"{head}.{body}.{body}.{body}.{signature}",
        "no payload": f"{head}..{signature}", "no header": f".{body}.{signature}",
        "padding after the header": f"{head}=.{body}.{signature}",
        "padding after the payload": f"{head}.{body}=.{signature}",
        "padding after the signature": f"{good}=", "twice": f"{good}=="}.items():
        group.add(comment, jwt)
    for comment, text in {"space": " ", "line break": "\n", "tab": "\t", "vertical tab": "\v",
                          "text": "AAAA", "percent-encoded NUL": "%00", "comma": ",",
                          "character that is no ASCII": "ä"}.items():
        group.add(f"{comment} after", good + text)
        group.add(f"{comment} before", text + good)
        group.add(f"{comment} within the signature", f"{head}.{body}.{signature[:9]}{text}{signature[9:]}")
    standard = base64.b64encode(b"\xfb\xff\xfe" + raw).decode().rstrip("=")
    group.add("base64 that is not of URLs", f"{head}.{body}.{standard}")
    group.add("signature as hexadecimal digits", f"{head}.{body}.{raw.hex()}")
    # The last character has bits that stand for nothing; another one decodes to the same bytes.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    if len(signature) % 4:
        other = alphabet[alphabet.index(signature[-1]) + 1]
        assert unb64(signature[:-1] + other) == raw
        group.add("another text of the same signature", good[:-1] + other)
    for comment, changed in {
        "cut by a byte": raw[:-1], "without its first byte": raw[1:], "half": raw[:len(raw) // 2],
        "a byte longer": raw + b"\0", "a byte longer before": b"\0" + raw, "twice": raw + raw,
        "one bit changed": bytes([raw[0] ^ 1]) + raw[1:], "last bit changed": raw[:-1] + bytes([raw[-1] ^ 1]),
        "zeros": bytes(len(raw)), "ones": b"\xff" * len(raw), "one byte": b"\0"}.items():
        group.add(f"signature {comment}", f"{head}.{body}.{b64(changed)}")
    group.add("the payload of another token", f"{head}.{b64(text_of({**CLAIMS, 'sub': 'root'}))}.{signature}")
    group.add("the header of another token",
              f"{b64(text_of({**group.header, 'typ': 'JWT'}))}.{body}.{signature}")
    group.by("signed is the payload alone", lambda message: group.key.sign(message.split(b".")[1]))
    group.by("signed is the decoded text", lambda message: group.key.sign(
        b".".join(unb64(part.decode()) for part in message.split(b"."))))
    group.add("JSON in place of parts", json.dumps(
        {"payload": body, "protected": head, "signature": signature}))


def add_headers(group: Group) -> None:
    """Headers that are signed as they should be."""
    name, kid = group.key.name, group.kid
    for other in ("none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
                  "PS256", "PS384", "PS512", "ES256", "ES256K", "ES384", "ES512", "EdDSA", "Ed25519",
                  "Ed448", "RSA1_5", "dir", "A128KW", name.lower(), f"{name} ", f" {name}", f"{name}\0",
                  f"{name},none"):
        if other != name:
            group.signed(f"alg {other!r}", {**group.header, "alg": other})
            body = f"{b64(text_of({'alg': other}))}.{b64(text_of(CLAIMS))}."
            group.add(f"alg {other!r} without a signature", body)
    for comment, text in {
        "no alg": {"kid": kid}, "alg null": {"alg": None}, "alg a list": {"alg": [name]},
        "alg a number": {"alg": 256}, "alg an object": {"alg": {"alg": name}}, "ALG": {"ALG": name},
        "alg twice": f'{{"alg":"none","alg":"{name}"}}', "alg twice, none last": f'{{"alg":"{name}","alg":"none"}}',
        "alg twice, once escaped": f'{{"alg":"none","\\u0061lg":"{name}"}}',
        "kid twice": f'{{"alg":"{name}","kid":"{kid}","kid":"{kid}"}}',
        "crit": {**group.header, "crit": ["exp"], "exp": 1}, "crit empty": {**group.header, "crit": []},
        "crit null": {**group.header, "crit": None}, "crit of what is not there": {**group.header, "crit": ["x"]},
        "b64 false": {**group.header, "b64": False, "crit": ["b64"]},
        "b64 false without crit": {**group.header, "b64": False}, "b64 true": {**group.header, "b64": True},
        "unknown kid": {"alg": name, "kid": "other"}, "kid empty": {"alg": name, "kid": ""},
        "kid a number": {"alg": name, "kid": 1}, "kid null": {"alg": name, "kid": None},
        "kid a list": {"alg": name, "kid": [kid]}, "kid in another case": {"alg": name, "kid": kid.upper()},
        "kid with a space": {"alg": name, "kid": f"{kid} "}, "kid with NUL": {"alg": name, "kid": f"{kid}\0"},
        "kid a path": {"alg": name, "kid": "../../../../../../dev/null"},
        "kid a path of ours": {"alg": name, "kid": f"./{kid}"},
        "kid of SQL": {"alg": name, "kid": "x' UNION SELECT 'AAAA"}, "kid of a shell": {"alg": name, "kid": "|id"},
        "kid an address": {"alg": name, "kid": "https://evil.example/key"},
        "typ of a logout token": {**group.header, "typ": "logout+jwt"},
        "typ of a proof": {**group.header, "typ": "dpop+jwt"}, "typ a number": {**group.header, "typ": 1},
        "a list": f'["{name}"]', "a text": f'"{name}"', "nothing": "", "cut": f'{{"alg":"{name}"',
        "text after": f'{{"alg":"{name}"}}x', "two objects": f'{{"alg":"{name}"}}{{}}',
        "a comment": f'{{"alg":"{name}"/**/}}', "single quotes": f"{{'alg':'{name}'}}",
        "a comma at the end": f'{{"alg":"{name}",}}', "a byte order mark": f'\ufeff{{"alg":"{name}"}}',
        "UTF-16": f'{{"alg":"{name}"}}'.encode("utf-16-le"),
        "no UTF-8": f'{{"alg":"{name}","x":"'.encode() + b'\xff"}',
        "half a surrogate": f'{{"alg":"{name}","x":"\\ud800"}}',
        "a NUL": f'{{"alg":"{name}"}}\0', "very deep": f'{{"alg":"{name}","x":{"[" * 999}{"]" * 999}}}'}.items():
        group.signed(f"header: {comment}", text)


def add_foreign_keys(group: Group) -> None:
    """Signed by somebody else, who offers the key."""
    evil: Key = {"ES256": Es256(4711), "EdDSA": EdDsa(b"evil" * 8), "HS256": Hs256(b"evil" * 8)}.get(
        group.key.name, Es256(4711))
    name = evil.name
    for comment, header in {
        "under our kid": {"alg": name, "kid": group.kid}, "without a kid": {"alg": name},
        "jwk": {"alg": name, "jwk": evil.jwk()}, "jwk and our kid": {"alg": name, "kid": group.kid, "jwk": evil.jwk()},
        "jku": {"alg": name, "kid": "evil", "jku": "https://evil.example/keys"},
        "jku of a file": {"alg": name, "jku": "file:///dev/stdin"},
        "x5u": {"alg": name, "x5u": "https://evil.example/chain.pem"},
        "x5c": {"alg": name, "x5c": [base64.b64encode(Es256(4711).der()).decode()]}}.items():
        group.by(f"signed by another key, {comment}", evil.sign, header)


def add_confusion(group: Group) -> None:
    """A public key taken for a secret."""
    assert not isinstance(group.key, Hs256)
    der = group.key.der()
    lines = base64.b64encode(der).decode()
    pem = "\n".join(["-----BEGIN PUBLIC KEY-----", *(lines[at:at + 64] for at in range(0, len(lines), 64)),
                     "-----END PUBLIC KEY-----"])
    for comment, secret in {
        "nothing": b"", "DER": der, "PEM": f"{pem}\n".encode(), "PEM without a line end": pem.encode(),
        "PEM of DOS": f"{pem}\n".replace("\n", "\r\n").encode(), "JWK": text_of(group.key.jwk()),
        "JWK Set": text_of(group.key_set), "kid": group.kid.encode(),
        "number": unb64(group.key.jwk().get("x") or group.key.jwk()["n"])}.items():
        for kid in ({"kid": group.kid}, {}):
            group.by(f"HMAC under the public key: {comment}{'' if kid else ', no kid'}",
                     Hs256(secret).sign, {"alg": "HS256", **kid})
        group.by(f"HMAC under the public key: {comment}, alg {group.key.name}", Hs256(secret).sign)


def add_claims(group: Group) -> None:
    def with_text(name: str, text: str) -> str:
        """The claims with one whose value is this JSON, whatever Python thinks of it."""
        rest = {key: value for key, value in CLAIMS.items() if key != name}
        return f'{text_of(rest).decode()[:-1]},"{name}":{text}}}'

    for name, texts in {
        "exp": [f"{NOW + 600}.5", f"{NOW + 6}e0", "253402300799", "2e10", f"{NOW - 29}"],
        "nbf": [f"{NOW}", f"{NOW - 1}.25", "0", "1e9", f"{NOW + 29}"], "iat": [f"{NOW + 9999}", "0.5"],
        "aud": ['["agentdesk"]', '["other","agentdesk"]', '"agent\\u0064esk"'],
        "tenant": ['"acme"'], "new": ["18446744073709551616", "[[[{}]]]"]}.items():
        for text in texts:
            group.signed(f"{name} {text}", claims=with_text(name, text), result="valid")
    for name, texts in {
        "exp": [f'"{NOW + 600}"', "null", "true", "[]", "{}", f"[{NOW + 600}]", '""', "-1", "0", "1e400", "1e300",
                "253402300800", f"{NOW + 600}000", "9223372036854775807", "9223372036854775808",
                "18446744073709551616", "9" * 400, "NaN", "Infinity", "-Infinity", "0x7fffffff", f"0{NOW + 600}",
                f"+{NOW + 600}", f"{NOW - 30}", f"{NOW - 31}", f"{NOW - 600}", "-1e400"],
        "nbf": [f'"{NOW}"', "null", "-1", f"{NOW + 31}", f"{NOW + 31}.5", "1e400", "[]", "253402300800"],
        "iat": ['"1"', "null", "-5", "{}"],
        "aud": ['"other"', '"Agentdesk"', '"agentdesk "', '" agentdesk"', '"agentdesk\\u0000"', '"agentdesk,other"',
                '""', "[]", "[[]]", '[["agentdesk"]]', '{"agentdesk":1}', "null", "1", "true",
                '["agentdesk",1]', '["other"]', '"agentdesk.evil.example"'],
        "iss": ['"https://issuer.example/"', '"https://ISSUER.example"', '"http://issuer.example"', "null", "1",
                '["https://issuer.example"]', '""', '"https://issuer.example\\u0000"', '"https://issuer.example "'],
        "sub": ['""', "null", "1", '["alice"]', '"a\\nb"', '"a\\u0000"', f'"{"a" * 201}"'],
        "scope": ['["admin"]', "1"], "tenant": ['""', "7", '"a\\u001fb"'], "groups": ['"ops"', "[1]"],
        "roles": ["{}"]}.items():
        for text in texts:
            shown = text if len(text) < 60 else f"{text[:20]}... of {len(text)} characters"
            group.signed(f"{name} {shown}", claims=with_text(name, text))
    for name in ("iss", "aud", "sub", "exp"):
        group.signed(f"no {name}", claims={key: value for key, value in CLAIMS.items() if key != name})
        group.signed(f"{name} twice", claims=text_of(CLAIMS).decode()[:-1] + f',"{name}":{json.dumps(CLAIMS[name])}}}')
        escaped = f"\\u{ord(name[0]):04x}{name[1:]}"
        group.signed(f"{name} twice, once escaped",
                     claims=text_of(CLAIMS).decode()[:-1] + f',"{escaped}":{json.dumps(CLAIMS[name])}}}')
    group.signed("a name twice, further in", claims=with_text("new", '{"a":1,"a":2}'))
    for comment, text in {
        "nothing": "", "a list": f"[{text_of(CLAIMS).decode()}]", "a text": '"alice"', "null": "null",
        "cut": text_of(CLAIMS).decode()[:-1], "text after": f"{text_of(CLAIMS).decode()}x",
        "two objects": text_of(CLAIMS).decode() * 2, "a NUL after": f"{text_of(CLAIMS).decode()}\0",
        "a byte order mark": f"\ufeff{text_of(CLAIMS).decode()}", "UTF-16": text_of(CLAIMS).decode().encode("utf-16"),
        "no UTF-8": text_of(CLAIMS).replace(b"alice", b"\xff\xfe"), "a token": group.good(),
        "very deep": with_text("new", "[" * 999 + "]" * 999)}.items():
        group.signed(f"payload: {comment}", claims=text)
    group.signed("a token within a token", {**group.header, "cty": "JWT"}, group.good())
    group.signed("more than 16 KiB", claims={**CLAIMS, "new": "a" * 16384})


def add_ecdsa(group: Group) -> None:
    key = group.key
    assert isinstance(key, Es256)
    n = key.N

    def pair(r: int, s: int) -> Sign:
        return lambda message: number(r, 32) + number(s, 32)

    for comment, r, s in [("both 0", 0, 0), ("r 0, s 1", 0, 1), ("r 1, s 0", 1, 0), ("both 1", 1, 1),
                          ("r the order, s 1", n, 1), ("r 1, s the order", 1, n), ("both the order", n, n),
                          ("one less than the order", n - 1, n - 1), ("one more than the order", n + 1, n + 1),
                          ("both the field's prime", key.P, key.P), ("r the generator's x, s 1", key.G[0], 1)]:
        group.by(f"ECDSA: {comment}", pair(r, s))

    def remade(change: Callable[[int, int], bytes]) -> Sign:
        return lambda message: change(*key.numbers(message))

    def der(r: int, s: int) -> bytes:
        parts = b"".join(b"\x02" + bytes([33]) + number(value, 33) if value >> 255 else
                         b"\x02" + bytes([32]) + number(value, 32) for value in (r, s))
        return b"\x30" + bytes([len(parts)]) + parts

    for comment, change in {
        "DER": der, "DER and text after": lambda r, s: der(r, s) + b"\0",
        "r and s exchanged": lambda r, s: number(s, 32) + number(r, 32),
        "r 0": lambda r, s: bytes(32) + number(s, 32), "s 0": lambda r, s: number(r, 32) + bytes(32),
        "r negated": lambda r, s: number(n - r, 32) + number(s, 32), "numbers of 33 bytes":
            lambda r, s: number(r, 33) + number(s, 33),
        "numbers of 48 bytes": lambda r, s: number(r, 48) + number(s, 48),
        "little-endian": lambda r, s: r.to_bytes(32, "little") + s.to_bytes(32, "little"),
        "as decimal text": lambda r, s: f"{r},{s}".encode()}.items():
        group.by(f"ECDSA: {comment}", remade(change))
    group.by("ECDSA: n - s, which is as good as s (FIPS 186-5 has no rule against it)",
             remade(lambda r, s: number(r, 32) + number(n - s, 32)), result="valid")
    group.by("ECDSA: over SHA-512", lambda message: key.sign(hashlib.sha512(message).digest()))


def add_rsa(group: Group) -> None:
    key = group.key
    assert isinstance(key, Rs256)

    def digest(message: bytes) -> bytes:
        return hashlib.sha256(message).digest()

    def prefixed(message: bytes) -> bytes:
        return key.SHA256 + digest(message)

    group.by("RSA: PSS", key.pss)
    group.by("RSA: PSS without a salt", lambda message: key.pss(message, b""))
    group.by("RSA: PSS as PS256", key.pss, {**group.header, "alg": "PS256"})
    for comment, padded in {
        "SHA-1": lambda m: key.padded(bytes.fromhex("3021300906052b0e03021a05000414") + hashlib.sha1(m).digest()),
        "SHA-384": lambda m: key.padded(bytes.fromhex("3041300d060960864801650304020205000430") +
                                        hashlib.sha384(m).digest()),
        "SHA-512": lambda m: key.padded(bytes.fromhex("3051300d060960864801650304020305000440") +
                                        hashlib.sha512(m).digest()),
        "SHA-256 named, SHA-1 in it": lambda m: key.padded(key.SHA256[:-1] + b"\x14" + hashlib.sha1(m).digest()),
        "the hash alone": lambda m: key.padded(digest(m)), "the message alone": lambda m: key.padded(m[:200]),
        "no NULL after the algorithm": lambda m: key.padded(
            bytes.fromhex("302f300b0609608648016503040201") + b"\x04\x20" + digest(m)),
        "text after the hash": lambda m: b"\0\1" + b"\xff" * 8 + b"\0" + prefixed(m) + bytes(256 - 11 - 51),
        "text after, long padding": lambda m: b"\0\1" + b"\xff" * 201 + b"\0" + prefixed(m) + b"\1",
        "block type 2": lambda m: key.padded(prefixed(m), b"\2"),
        "block type 0": lambda m: key.padded(prefixed(m), b"\0"),
        "padding of zeros": lambda m: key.padded(prefixed(m), fill=b"\0"),
        "padding of 0xfe": lambda m: key.padded(prefixed(m), fill=b"\xfe"),
        "no zero after the padding": lambda m: b"\0\1" + b"\xff" * 203 + prefixed(m),
        "no padding": lambda m: bytes(205) + prefixed(m)}.items():
        group.by(f"RSA: {comment}", lambda message, padded=padded: key.power(padded(message)))
    group.by("RSA: not raised to the power", lambda m: key.padded(prefixed(m)))
    for comment, value in {"0": 0, "1": 1, "n": key.N, "n - 1": key.N - 1, "n + 1": key.N + 1}.items():
        group.by(f"RSA: signature {comment}", lambda message, value=value: number(value, key.SIZE))
    # The same number modulo n, in the same and in a larger size.
    group.by("RSA: n added", lambda m: number(int.from_bytes(key.sign(m), "big") + key.N, key.SIZE + 1))


def add_eddsa(group: Group) -> None:
    key = group.key
    assert isinstance(key, EdDsa)
    group.by("Ed25519: L added to s", lambda message: key.sign(message, key.L))
    group.by("Ed25519: 2 L added to s", lambda message: key.sign(message, 2 * key.L))
    group.by("Ed25519: R the neutral point, s 0", lambda message: number(1, 32)[::-1] + bytes(32))
    group.by("Ed25519: R is 0", lambda message: bytes(32) + key.sign(message)[32:])
    group.by("Ed25519: R not in its least form",
             lambda message: (key.P + 1).to_bytes(32, "little") + key.sign(message)[32:])
    group.by("Ed25519: the sign of R changed", lambda message: (lambda made: made[:31] + bytes(
        [made[31] ^ 0x80]) + made[32:])(key.sign(message)))
    group.by("Ed25519: R and s exchanged", lambda message: key.sign(message)[32:] + key.sign(message)[:32])
    group.by("Ed25519: over SHA-512, as Ed25519ph", lambda message: key.sign(hashlib.sha512(message).digest()))
    group.by("Ed25519: signature and key", lambda message: key.sign(message) + key.public)


def add_hmac(group: Group) -> None:
    key = group.key
    assert isinstance(key, Hs256)

    def mac(secret: bytes, name: str = "sha256") -> Sign:
        return lambda message: hmac.digest(secret, message, name)

    group.by("HMAC: SHA-384", mac(key.secret, "sha384"))
    group.by("HMAC: SHA-512", mac(key.secret, "sha512"))
    group.by("HMAC: SHA-512, cut to 32 bytes", lambda message: hmac.digest(key.secret, message, "sha512")[:32])
    for size in (0, 1, 8, 16, 31):
        group.by(f"HMAC: cut to {size} bytes", lambda message, size=size: key.sign(message)[:size])
    for comment, secret in {"nothing": b"", "the secret's text": b64(key.secret).encode(), "zeros": bytes(32),
                            "the secret without its end": key.secret[:-1], "the kid": group.kid.encode()}.items():
        group.by(f"HMAC: under {comment}", mac(secret))
    group.by("HMAC: a hash without it", lambda message: hashlib.sha256(message).digest())
    group.by("HMAC: a hash of secret and message", lambda message: hashlib.sha256(key.secret + message).digest())
    # RFC 2104 pads a key with zeros to the size of the hash's block, so this one is the same.
    group.by("HMAC: under the secret and a zero", mac(key.secret + b"\0"), result="valid")


def several_keys() -> Group:
    first, second = Es256(1234567), EdDsa(b"second" * 6)
    group = Group("several keys", [(first, "first"), (second, "second")])
    for name, key in (("first", first), ("second", second)):
        group.by(f"{name}", key.sign, {"alg": key.name, "kid": name}, "valid")
        group.by(f"{name}, no kid", key.sign, {"alg": key.name}, "valid")
    group.by("the second's signature under the first's kid", second.sign, {"alg": "EdDSA", "kid": "first"})
    group.by("the first's signature under the second's kid", first.sign, {"alg": "ES256", "kid": "second"})
    group.by("the second's signature as ES256", second.sign, {"alg": "ES256"})
    group.by("the first's signature as EdDSA", first.sign, {"alg": "EdDSA"})
    group.by("both kids", first.sign, {"alg": "ES256", "kid": "first second"})
    return group


def vectors() -> dict[str, Any]:
    ecdsa = Group("ES256", [(Es256(0xC0FFEE), "key-1")])
    eddsa = Group("EdDSA", [(EdDsa(bytes(range(32))), "key-1")])
    rsa = Group("RS256", [(Rs256(), "key-1")])
    shared = Group("HS256", [(Hs256(bytes(range(1, 33))), "key-1")])
    for group in (ecdsa, eddsa, rsa, shared):
        for add in (add_good, add_parts, add_headers, add_foreign_keys):
            add(group)
    for group in (ecdsa, eddsa, rsa):
        add_confusion(group)
    add_claims(ecdsa)
    add_ecdsa(ecdsa)
    add_eddsa(eddsa)
    add_rsa(rsa)
    add_hmac(shared)
    groups = [ecdsa, eddsa, rsa, shared, several_keys()]
    count = 0
    for group in groups:
        for test in group.tests:
            count += 1
            test["tcId"] = count
    return {"numberOfTests": count, "issuer": ISSUER, "audience": AUDIENCE, "time": NOW,
            "testGroups": [{"comment": group.comment, "keys": group.key_set, "tests": group.tests}
                           for group in groups]}


def file_text() -> str:
    """One test a line, so that a change of one shows as such."""
    made = vectors()
    groups = made.pop("testGroups")
    lines = [json.dumps(made)[:-1] + ', "testGroups": [']
    for at, group in enumerate(groups):
        tests = group.pop("tests")
        lines.append(json.dumps(group)[:-1] + ', "tests": [')
        lines += [json.dumps(test) + ("," if test is not tests[-1] else "") for test in tests]
        lines.append("]}" + ("," if at + 1 < len(groups) else ""))
    return "\n".join([*lines, "]}", ""])


if __name__ == "__main__":
    FILE.write_text(file_text(), encoding="utf-8")
