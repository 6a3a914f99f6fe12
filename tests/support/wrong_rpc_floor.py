#!/usr/bin/python3
"""Stands in for agentdesk-rpc-floor and goes wrong as WRONG says: with every tenth call, or in the middle of
the stream."""

import concurrent.futures
import itertools
import json
import os
import sys
from collections.abc import Iterator

import grpc
from desk_client import event_pb2, event_pb2_grpc, ticket_pb2, ticket_pb2_grpc

WRONG = os.environ["WRONG"]


class Tickets(ticket_pb2_grpc.TicketServiceServicer):
    def __init__(self) -> None:
        self.calls = itertools.count(1)

    def CreateTicket(self, request: ticket_pb2.CreateTicketRequest,
                     context: grpc.ServicerContext) -> ticket_pb2.CreateTicketResponse:
        wrong = WRONG if next(self.calls) % 10 == 0 else ""
        if wrong == "refuses a call":
            context.abort(grpc.StatusCode.UNAVAILABLE, wrong)
        name = "" if wrong == "acknowledges another call" else request.ticket_name
        return ticket_pb2.CreateTicketResponse(ticket=ticket_pb2.Ticket(ticket_name=name))


class Events(event_pb2_grpc.EventServiceServicer):
    def Subscribe(self, request: event_pb2.SubscribeRequest,
                  _context: grpc.ServicerContext) -> Iterator[event_pb2.SubscribeResponse]:
        last = request.after_sequence  # as the floor has it
        for sequence in range(1, last + 1):
            if sequence == last // 2 and WRONG == "skips an event":
                continue
            if sequence == last // 2 and WRONG == "ends a stream early":
                return
            yield event_pb2.SubscribeResponse(events=[event_pb2.Event(sequence=sequence)])


server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
ticket_pb2_grpc.add_TicketServiceServicer_to_server(Tickets(), server)
event_pb2_grpc.add_EventServiceServicer_to_server(Events(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(json.dumps({"message": "listening", "address": f"127.0.0.1:{port}"}, separators=(",", ":")),
      file=sys.stderr, flush=True)
server.wait_for_termination()
