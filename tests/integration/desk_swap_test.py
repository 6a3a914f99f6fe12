"""Another desk under a gateway that lives: nobody goes on in it as if it were the old one (P3)."""

import unittest

import oracle
from agentdesk_test import Core, DeskTestCase, wait_until
from ws_client import Browser, FullBrowser


class DeskSwapTest(DeskTestCase):
    def test_plain_is_closed_and_v1_is_told_and_given_a_snapshot(self) -> None:
        old_desk = self.desk.head().desk_id
        for _ in range(3):
            self.desk.create("Of the old desk")
        plain = Browser(self.gateway.address)
        self.assertEqual(plain.ask({"type": "ping"}), {"type": "pong"})
        follows = FullBrowser(self.gateway.address, f"after=0&desk={old_desk}")
        self.addCleanup(follows.close)
        follows.wait_sequence(3)
        self.core.kill()
        other = Core(self.system.scratch / "other")
        other.address = self.core.address
        self.system.add(other).start()
        self.desk.wait_connected()
        new_desk = self.desk.head().desk_id
        self.assertNotEqual(new_desk, old_desk)

        self.assertEqual(plain.wait_closed(), 1012)
        gap = follows.wait_type("gap")
        self.assertEqual((gap["reason"], gap["desk"]), ("other_desk", new_desk))
        snapshot = follows.wait_type("snapshot", more=False)
        self.gateway.wait_ready()
        seen_before = len(follows.seen)
        created = [self.desk.create("Of the new desk") for _ in range(3)]
        # Not wait_sequence: in the old desk there was an event of this number too.
        wait_until(lambda: [event for event in follows.seen[seen_before:]
                            if event[0] == created[-1].sequence], "the new desk's last event")
        in_snapshot = [ticket["ticket_id"] for ticket in snapshot["tickets"]]
        self.assertEqual(in_snapshot, [])
        oracle.check_complete(follows.seen[seen_before:], snapshot["up_to"], created[-1].sequence)

        # Whoever comes back with a position in the old desk is told too.
        back = FullBrowser(self.gateway.address, f"after=3&desk={old_desk}")
        self.addCleanup(back.close)
        self.assertEqual(back.wait_type("gap")["reason"], "other_desk")
        snapshot = back.wait_type("snapshot", more=False)
        self.assertEqual({ticket["ticket_id"] for ticket in snapshot["tickets"]},
                         {ticket.ticket_id for ticket in created})
        again = Browser(self.gateway.address)
        self.addCleanup(again.close)
        self.assertEqual(again.ask({"type": "ping"}), {"type": "pong"})
        last = self.desk.create("Seen by the plain one")
        again.wait_type("ticket_created", ticket_id=last.ticket_id)


if __name__ == "__main__":
    unittest.main()
