"""Messages that are far too large, or claim to be: 1009 reaches the client, and the gateway keeps
none of it (row 13)."""

import struct
import unittest
import zlib

from agentdesk_test import DeskTestCase
from ws_client import BareSocket

MIB = 1024 * 1024
# A connection's buffers, and what an allocator keeps; the messages together are many times that.
MAX_GROWTH = 4 * MIB
ROUNDS = 10


class OversizeTest(DeskTestCase):
    def close_code(self, socket: BareSocket) -> int:
        opcode, payload = socket.read_frame()
        self.assertEqual(opcode, 8)
        (code,) = struct.unpack("!H", payload[:2])
        socket.close()
        return code

    def one_message(self, socket: BareSocket) -> None:
        socket.send_frame(1, b"x" * (4 * MIB))

    def fragments(self, socket: BareSocket) -> None:
        socket.send_frame(1, b"x" * (200 * 1024), first_bits=0)
        socket.send_frame(0, b"x" * (200 * 1024), first_bits=0)
        socket.send_frame(0, b"x" * (2 * MIB))

    def claim(self, size: int):
        """A header that claims a size, and a mask and a little after it."""
        return lambda socket: socket.socket.sendall(
            struct.pack("!BBQ", 0x81, 0xFF, size) + b"mask" + b"x" * 1000)

    def test_1009_arrives_and_memory_stays(self) -> None:
        ways = [self.one_message, self.fragments, self.claim(200 * MIB), self.claim(1 << 32),
                self.claim(1 << 63), self.claim((1 << 64) - 1)]

        def all_ways() -> None:
            for way in ways:
                socket = BareSocket(self.gateway.address)
                way(socket)
                self.assertEqual(self.close_code(socket), 1009)

        all_ways()
        before = self.gateway.resident_bytes()
        for _ in range(ROUNDS):
            all_ways()
        growth = self.gateway.resident_bytes() - before
        print(f"{ROUNDS * len(ways)} oversize messages: the gateway grew by {growth / MIB:.1f} MiB")
        self.assertLess(growth, MAX_GROWTH)

    def test_compression_is_not_negotiated_and_a_bomb_is_refused(self) -> None:
        offer = "permessage-deflate; client_max_window_bits"
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = packer.compress(b'{"type":"ping","x":"' + b"x" * (200 * MIB)) + packer.flush(
            zlib.Z_SYNC_FLUSH)
        self.assertLess(len(bomb), 256 * 1024, "small enough to pass as a message")
        before = self.gateway.resident_bytes()
        for _ in range(ROUNDS):
            socket = BareSocket(self.gateway.address, extensions=offer)
            self.assertNotIn("sec-websocket-extensions", socket.handshake.lower())
            socket.send_frame(1, bomb[:-4], first_bits=0xC0)  # FIN and RSV1: compressed
            self.assertEqual(self.close_code(socket), 1002)
        self.assertLess(self.gateway.resident_bytes() - before, MAX_GROWTH)


if __name__ == "__main__":
    unittest.main()
