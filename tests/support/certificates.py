"""Certificates for tests, made by openssl: an authority, and what it signs."""

from __future__ import annotations

import dataclasses
import pathlib
import ssl
import subprocess
import time

import grpc

# The names of a server of this machine.
HERE = ("IP:127.0.0.1", "DNS:localhost")
EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
# Two kinds that no TLS of today takes.
SHORT_KEY = ("-newkey", "rsa:1024", "-nodes", "-days", "2")
OLD_HASH = (*EC, "-sha1")
CA_CONFIG = """
[ca]
default_ca = authority
[authority]
database = {index}
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
basicConstraints = CA:FALSE
subjectAltName = {names}
"""


@dataclasses.dataclass
class Pair:
    """A certificate and its key, as files."""
    cert: pathlib.Path
    key: pathlib.Path

    def replace_by(self, other: "Pair") -> None:
        for mine, theirs in ((self.cert, other.cert), (self.key, other.key)):
            self.replace(mine, theirs)

    @staticmethod
    def replace(mine: pathlib.Path, theirs: pathlib.Path) -> None:
        """As a program that renews certificates does it: never half a file."""
        fresh = mine.with_suffix(".new")
        fresh.write_bytes(theirs.read_bytes())
        fresh.replace(mine)

    def serial(self) -> str:
        return openssl("x509", "-noout", "-serial", "-in", str(self.cert)).strip()


def openssl(*arguments: str) -> str:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True,
                          timeout=60).stdout


class Authority:
    def __init__(self, folder: pathlib.Path, name: str = "authority") -> None:
        self.folder = folder
        self.own = self._made(name, "-addext", "basicConstraints=critical,CA:TRUE")

    @property
    def file(self) -> pathlib.Path:
        return self.own.cert

    def client(self) -> ssl.SSLContext:
        """How a client speaks TLS that believes this authority alone."""
        return ssl.create_default_context(cafile=str(self.file))

    def issue(self, name: str, *subjects: str, form: tuple[str, ...] = EC) -> Pair:
        """A certificate for subject alternative names, such as `IP:127.0.0.1`."""
        return self._made(name, "-CA", str(self.own.cert), "-CAkey", str(self.own.key),
                          "-addext", "basicConstraints=CA:FALSE",
                          "-addext", f"subjectAltName={','.join(subjects)}", form=form)

    def issue_for_time(self, name: str, begin: float, end: float, *subjects: str) -> Pair:
        """The same, to hold from one time of the clock to another."""
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request, config = self.folder / f"{name}.csr", self.folder / f"{name}.cnf"
        openssl("req", "-new", *EC, "-subj", f"/CN={name}", "-keyout", str(pair.key),
                "-out", str(request))
        index = self.folder / f"{name}.index"
        index.touch()
        config.write_text(CA_CONFIG.format(index=index, folder=self.folder,
                                           names=",".join(subjects)))
        times = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(when)) for when in (begin, end)]
        openssl("ca", "-batch", "-notext", "-config", str(config), "-cert", str(self.own.cert),
                "-keyfile", str(self.own.key), "-in", str(request), "-out", str(pair.cert),
                "-startdate", times[0], "-enddate", times[1])
        return pair

    def _made(self, name: str, *arguments: str, form: tuple[str, ...] = EC) -> Pair:
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        openssl("req", "-x509", *form, "-subj", f"/CN={name}", "-keyout", str(pair.key),
                "-out", str(pair.cert), *arguments)
        return pair


def credentials(authority: Authority, own: Pair | None = None) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        authority.file.read_bytes(), own.key.read_bytes() if own else None,
        own.cert.read_bytes() if own else None)


def handshake(address: str, authority: Authority, *arguments: str, alpn: str = "h2",
              typed: str = "") -> subprocess.CompletedProcess[str]:
    """One of openssl, which can be made to speak what no library would."""
    return subprocess.run(
        ["openssl", "s_client", "-connect", address, "-alpn", alpn, "-CAfile", str(authority.file),
         "-verify_return_error", *arguments], input=typed, capture_output=True, text=True,
        errors="replace", timeout=60, check=False)


def shown_serial(address: str, authority: Authority, alpn: str = "h2") -> str:
    """The serial number of the certificate that a new connection is shown."""
    shown = handshake(address, authority, alpn=alpn).stdout
    return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=shown,
                          capture_output=True, text=True, timeout=60, check=False).stdout.strip()
