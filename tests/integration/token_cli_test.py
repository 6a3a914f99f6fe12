"""`agentdesk token`: keys and tokens for trials, and the verdict of the servers' own verifier."""

import base64
import hashlib
import hmac
import json
import pathlib
import stat
import subprocess
import tempfile
import unittest

from agentdesk_test import BIN

ALGORITHMS = ("RS256", "ES256", "EdDSA", "HS256")
CLAIMS = ("--issuer=https://issuer.example", "--audience=agentdesk")


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class TokenTest(unittest.TestCase):
    def setUp(self) -> None:
        self._dir = tempfile.TemporaryDirectory()
        self.addCleanup(self._dir.cleanup)
        self.dir = pathlib.Path(self._dir.name)

    def run_token(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(BIN / "agentdesk"), "token", *arguments], input=stdin, text=True,
                              capture_output=True, timeout=60, check=False)

    def key(self, algorithm: str) -> tuple[pathlib.Path, pathlib.Path]:
        signing, keys = self.dir / f"{algorithm}.key", self.dir / f"{algorithm}.json"
        made = self.run_token("key", f"--alg={algorithm}", f"--signing_key={signing}",
                              f"--keys={keys}")
        self.assertEqual(made.returncode, 0, made.stderr)
        return signing, keys

    def token(self, signing: pathlib.Path, *more: str) -> str:
        made = self.run_token("create", f"--signing_key={signing}", *CLAIMS, "--subject=alice", *more)
        self.assertEqual(made.returncode, 0, made.stderr)
        return made.stdout.strip()

    def verdict(self, keys: pathlib.Path, token: str, *flags: str) -> tuple[int, str]:
        done = self.run_token("verify", f"--keys={keys}", *(flags or CLAIMS), token)
        self.assertEqual(done.stdout.count("\n"), 1, done)
        return done.returncode, done.stdout.strip()

    def test_each_algorithm(self) -> None:
        for algorithm in ALGORITHMS:
            with self.subTest(algorithm):
                signing, keys = self.key(algorithm)
                token = self.token(signing, "--scope=tickets:read", "--scope=admin", "--tenant=acme")
                code, line = self.verdict(keys, token)
                self.assertEqual(code, 0, line)
                self.assertIn("subject=alice", line)
                self.assertIn("tenant=acme", line)
                self.assertIn("scopes=tickets:read,admin", line)
                other = ALGORITHMS[(ALGORITHMS.index(algorithm) + 1) % len(ALGORITHMS)]
                self.assertEqual(self.verdict(keys, token, *CLAIMS, f"--alg={other}")[0], 1)
                self.assertEqual(self.verdict(keys, token, *CLAIMS, f"--alg={algorithm}")[0], 0)

    def test_why_a_token_is_rejected(self) -> None:
        signing, keys = self.key("ES256")
        token = self.token(signing)
        header, claims, signature = token.split(".")
        none = b64(b'{"alg":"none"}')
        for bad, flags, why in [
            (token, (CLAIMS[0], "--audience=other"), "aud: is not for this service"),
            (token, ("--issuer=other", CLAIMS[1]), "is not trusted"),
            (token, (*CLAIMS, "--time=2099-01-01T00:00:00Z"), "it has expired"),
            (f"{none}.{claims}.", CLAIMS, "alg `none`"),
            (f"{token} ", CLAIMS, "base64url"),
            (f"{header}.{claims}", CLAIMS, "3 parts"),
            ("", CLAIMS, "3 parts"),
            (f"{header}.{b64(b'{}')}.{signature}", CLAIMS, "is not trusted"),
        ]:
            with self.subTest(why=why):
                code, line = self.verdict(keys, bad, *flags)
                self.assertEqual(code, 1)
                self.assertTrue(line.startswith("rejected: "), line)
                self.assertIn(why, line)
        self.assertEqual(self.verdict(self.key("RS256")[1], token)[0], 1)

    def test_what_another_program_has_signed(self) -> None:
        secret = bytes(range(32))
        keys = self.dir / "keys.json"
        keys.write_text(json.dumps({"keys": [{"kty": "oct", "k": b64(secret), "kid": "one"}]}))
        header = b64(b'{"alg":"HS256","kid":"one"}')
        signed = f"{header}.{b64(b'anything')}"
        token = f"{signed}.{b64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"
        # Without what the claims must say only the signature counts: so any vectors can be run.
        self.assertEqual(self.verdict(keys, token, "--alg=HS256")[0], 0)
        self.assertEqual(self.verdict(keys, token)[0], 1)
        self.assertEqual(self.verdict(keys, token[:-1], "--alg=HS256")[0], 1)
        keys.write_text(json.dumps({"kty": "oct", "k": b64(secret[:31])}))
        code, line = self.verdict(keys, token, "--alg=HS256")
        self.assertEqual((code, "the keys: " in line), (1, True), line)

    def test_keys_of_openssl(self) -> None:
        private, public = self.dir / "private.pem", self.dir / "public.pem"
        for command in (["genpkey", "-algorithm", "ED25519", "-out", str(private)],
                        ["pkey", "-in", str(private), "-pubout", "-out", str(public)]):
            subprocess.run(["openssl", *command], check=True, capture_output=True)
        self.assertEqual(self.verdict(public, self.token(private))[0], 0)

    def test_a_token_on_standard_input(self) -> None:
        signing, keys = self.key("EdDSA")
        done = self.run_token("verify", f"--keys={keys}", *CLAIMS, "-", "--json",
                              stdin=self.token(signing, "--group=g", "--role=r") + "\n")
        self.assertEqual(done.returncode, 0, done)
        verdict = json.loads(done.stdout)
        self.assertEqual((verdict["accepted"], verdict["subject"], verdict["groups"],
                          verdict["roles"]), (True, "alice", ["g"], ["r"]))

    def test_a_key_is_its_owners_and_is_not_written_over(self) -> None:
        signing, keys = self.key("HS256")
        for path in (signing, keys):  # both hold the secret
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        before = signing.read_text()
        again = self.run_token("key", f"--signing_key={signing}", f"--keys={self.dir / 'new'}")
        self.assertEqual(again.returncode, 1)
        self.assertEqual(signing.read_text(), before)

    def test_wrong_use(self) -> None:
        _, keys = self.key("ES256")
        for arguments in (["verify"], ["verify", "x"], ["verify", "--keys=/nowhere", *CLAIMS, "x"],
                          ["verify", f"--keys={keys}", CLAIMS[0], "x"],
                          ["verify", f"--keys={keys}", *CLAIMS, "--alg=none", "x"],
                          ["verify", f"--keys={keys}", *CLAIMS, "--time=now", "x"],
                          ["create", *CLAIMS, "--subject=a"], ["key"], ["key", "--alg=none"],
                          ["create", *CLAIMS, "--subject=a", f"--signing_key={keys}"]):
            with self.subTest(arguments=arguments):
                done = self.run_token(*arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done)
                self.assertTrue(done.stderr)


if __name__ == "__main__":
    unittest.main()
