"""The oracle notices each violation; an oracle that is silent would make every other test worthless."""

import types
import unittest

import oracle


def event(sequence: int, time: int = 0, ticket_id: str = "t") -> types.SimpleNamespace:
    return types.SimpleNamespace(sequence=sequence, ticket_id=ticket_id,
                                 time=types.SimpleNamespace(seconds=time, nanos=0))


class OracleTest(unittest.TestCase):
    def assert_notices(self, words: str, check, *args) -> None:
        with self.assertRaisesRegex(AssertionError, words):
            check(*args)

    def test_log(self) -> None:
        self.assertEqual(len(oracle.check_log([event(1), event(2)])), 2)
        self.assert_notices("has 3 where 2", oracle.check_log, [event(1), event(3)])
        self.assert_notices("time goes back", oracle.check_log, [event(1, 5), event(2, 4)])

    def test_stream(self) -> None:
        oracle.check_complete([(3, ""), (4, "")], 2, 4)
        self.assert_notices("3 came twice", oracle.check_ordered, [(3, ""), (3, "")])
        self.assert_notices("2 came after 3", oracle.check_ordered, [(3, ""), (2, "")])
        self.assert_notices("first is 3", oracle.check_complete, [(2, ""), (4, "")], 1, 4)
        self.assert_notices("first is 4", oracle.check_complete, [(2, ""), (3, "")], 1, 4)
        self.assert_notices("only what is after 2", oracle.check_complete, [(2, ""), (3, "")], 2, 3)
        self.assert_notices("never seen", oracle.check_complete, [], 0, 1)

    def test_content(self) -> None:
        oracle.check_same([(1, "a")], {1: "a"})
        self.assert_notices("differs", oracle.check_same, [(1, "b")], {1: "a"})
        self.assert_notices("not in the log", oracle.check_same, [(2, "b")], {1: "a"})

    def test_durable(self) -> None:
        oracle.check_durable([(1, "t")], {1: event(1)})
        self.assert_notices("not in the log", oracle.check_durable, [(2, "t")], {1: event(1)})
        self.assert_notices("not of u", oracle.check_durable, [(1, "u")], {1: event(1)})

    def test_one_winner(self) -> None:
        told = ("already_answered", "b", "a")
        self.assertEqual(oracle.check_one_winner([("received", "a", "a"), told]), "a")
        self.assert_notices("0 of 1", oracle.check_one_winner, [told])
        self.assert_notices("2 of 2", oracle.check_one_winner, [("received", "a", "")] * 2)
        self.assert_notices("told", oracle.check_one_winner,
                            [("received", "a", ""), ("already_answered", "b", "b")])
        self.assert_notices("told", oracle.check_one_winner,
                            [("received", "a", ""), ("withdrawn", "b", "a")])


if __name__ == "__main__":
    unittest.main()
