"""POST /webhook/notion where a secret is configured: what is not signed with it does nothing."""

import datetime
import hashlib
import hmac
import json
import subprocess
import unittest

import http_client
from agentdesk_test import BIN, Gateway, System
from desk_client import new_id
from guarded_desk import IssuedCase
from tokens import AUDIENCE, ISSUER, auth_config

SECRET = b"a secret of Notion's own"


def signature(body: bytes, secret: bytes = SECRET) -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


class WebhookSignatureTest(IssuedCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        (cls.folder / "gateway.token").write_text(cls.issuer.token("gateway"))
        (cls.folder / "secret").write_bytes(SECRET + b"\n")
        config = auth_config(cls.folder, [
            {"issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["HS256"],
             "keys_file": "keys.json"}], gateways=["gateway"])
        cls.system = System([f"--auth_config={config}"], [
            f"--auth_config={config}", f"--core_token_file={cls.folder}/gateway.token",
            f"--notion_secret_file={cls.folder}/secret"])
        cls.addClassCleanup(cls.system.close)

    def post(self, body: bytes, **headers: str) -> http_client.Answer:
        return http_client.call(self.system.gateway.address, "POST", "/webhook/notion", body,
                                Content_Type="application/json", **headers)

    def ticket_status(self, page_id: str) -> int:
        return http_client.call(self.system.gateway.address, "GET", f"/tickets/{page_id}",
                                Authorization=f"Bearer {self.issuer.token()}").status

    def test_what_is_signed_is_done_under_its_own_name(self) -> None:
        page_id = new_id()
        body = json.dumps({"page_id": page_id}).encode()
        for _ in range(2):  # the same page is one ticket
            answer = self.post(body, X_Notion_Signature=signature(body))
            self.assertEqual((answer.status, answer.json["ticket_id"]), (200, page_id))
        answer = self.post(body, X_Notion_Signature=signature(body).upper().replace("SHA", "sha"))
        self.assertEqual(answer.status, 200)
        ticket = http_client.call(self.system.gateway.address, "GET", f"/tickets/{page_id}",
                                  Authorization=f"Bearer {self.issuer.token()}").json
        self.assertEqual(ticket["created_by"]["id"], "notion")

    def test_what_is_not_does_nothing(self) -> None:
        page_id = new_id()
        body = json.dumps({"page_id": page_id}).encode()
        right = signature(body)
        for wrong in ("", right[:-1], right + "0", right[7:], "sha1=" + right[7:], "sha256=",
                      right[:-1] + "g", right[:-1] + ("0" if right[-1] != "0" else "1"),
                      signature(body + b" "), signature(body, b"another secret"),
                      signature(body, SECRET + b"\n")):
            headers = {"X_Notion_Signature": wrong} if wrong else {}
            answer = self.post(body, **headers)
            self.assertEqual((answer.status, answer.error["code"]), (403, "signature_invalid"), wrong)
        # A token is no signature, and what is wrong with the body is told to Notion alone.
        answer = self.post(body, Authorization=f"Bearer {self.issuer.token()}")
        self.assertEqual(answer.error["code"], "signature_invalid")
        self.assertEqual(self.post(b"{").error["code"], "signature_invalid")
        self.assertEqual(self.post(b"{", X_Notion_Signature=signature(b"{")).status, 400)
        self.assertEqual(self.ticket_status(page_id), 404)

    def test_what_is_old_does_nothing(self) -> None:
        now = datetime.datetime.now(datetime.timezone.utc)
        for hours, status in ((-25, 403), (-23, 200), (0, 200), (25, 403)):
            time = (now + datetime.timedelta(hours=hours)).isoformat()
            body = json.dumps({"page_id": new_id(), "timestamp": time}).encode()
            answer = self.post(body, X_Notion_Signature=signature(body))
            self.assertEqual(answer.status, status, answer.text)
            if status == 403:
                self.assertEqual(answer.error["code"], "signature_stale")

    def test_how_old_is_for_a_flag_to_say(self) -> None:
        gateway = Gateway(self.system.core.address, *self.system.gateway.flags[2:],
                          "--notion_max_age=1h")
        self.system.add(gateway).start()
        now = datetime.datetime.now(datetime.timezone.utc)
        for minutes, status in ((-61, 403), (-59, 200), (59, 200), (61, 403)):
            time = (now + datetime.timedelta(minutes=minutes)).isoformat()
            body = json.dumps({"page_id": new_id(), "timestamp": time}).encode()
            answer = http_client.call(gateway.address, "POST", "/webhook/notion", body,
                                      Content_Type="application/json",
                                      X_Notion_Signature=signature(body))
            self.assertEqual(answer.status, status, answer.text)

    def test_a_secret_that_is_none_is_refused_at_the_start(self) -> None:
        (self.folder / "short").write_bytes(b"short")
        for name in ("short", "nowhere"):
            done = subprocess.run(
                [str(BIN / "agentdesk-gateway"), "--check_config",
                 f"--notion_secret_file={self.folder}/{name}"],
                capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("--notion_secret_file", done.stderr)


if __name__ == "__main__":
    unittest.main()
