"""Tools that share no code with us: grpcurl (or buf curl), and reflection as other clients ask it."""

import json
import pathlib
import re
import subprocess
import unittest

import grpc
from agentdesk_test import ROOT, DeskTestCase  # first: it makes the generated stubs importable
import health_pb2
import health_pb2_grpc
import reflection_v1_pb2
import reflection_v1_pb2_grpc
import reflection_v1alpha_pb2
import reflection_v1alpha_pb2_grpc
from google.protobuf import descriptor_pb2

GRPCURL = ROOT / "build/tools/grpcurl"
BUF = ROOT / "build/tools/buf/buf"
SERVICES = {"agentdesk.v1.TicketService", "agentdesk.v1.AgentService",
            "agentdesk.v1.SessionService", "agentdesk.v1.EventService"}
VERSIONS = (
    ("v1", (reflection_v1_pb2, reflection_v1_pb2_grpc.ServerReflectionStub)),
    ("v1alpha", (reflection_v1alpha_pb2, reflection_v1alpha_pb2_grpc.ServerReflectionStub)),
)


def run(*command: str | pathlib.Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          timeout=60, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


class CommandLineClientTest(DeskTestCase):
    with_gateway = False

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.grpcurl = GRPCURL.exists()
        print(f"the gRPC command-line client is {'grpcurl' if cls.grpcurl else 'buf curl'}")

    def client(self, *arguments: str) -> str:
        return run(GRPCURL, "-plaintext", *arguments)

    def invoke(self, method: str, data: str = "{}") -> dict:
        if self.grpcurl:
            return json.loads(self.client("-d", data, self.core.address, method))
        return json.loads(run(BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d",
                              data, f"http://{self.core.address}/{method}"))

    def test_create_subscribe_and_health(self) -> None:
        created = self.invoke("agentdesk.v1.TicketService/CreateTicket",
                              '{"ticket_name":"Fix the login page"}')
        self.assertRegex(created["ticketId"], r"^[0-9a-f-]{36}$")
        self.assertRegex(created["jobId"], r"^job-[0-9a-f-]{36}$")
        self.assertEqual(created["status"], "JOB_STATUS_QUEUED")
        self.assertEqual((created["ticket"]["ticketId"], created["ticket"]["ticketName"]),
                         (created["ticketId"], "Fix the login page"))
        health = self.invoke("grpc.health.v1.Health/Check")
        self.assertEqual(health["status"], "SERVING")
        named = self.invoke("grpc.health.v1.Health/Check",
                            '{"service":"agentdesk.v1.TicketService"}')
        self.assertEqual(named["status"], "SERVING")
        self.assertIn(created["ticketId"], self.first_of_stream('{"after_sequence":0}'))

    def first_of_stream(self, data: str) -> str:
        """What the subscription says until it has shown an event."""
        method = "agentdesk.v1.EventService/Subscribe"
        command = [str(GRPCURL), "-plaintext", "-d", data, self.core.address, method] \
            if self.grpcurl else [str(BUF), "curl", "--protocol", "grpc",
                                  "--http2-prior-knowledge", "-d", data,
                                  f"http://{self.core.address}/{method}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            self.addCleanup(process.kill)
            assert process.stdout is not None
            text = ""
            for line in process.stdout:
                text += line
                if '"ticketCreated"' in text and '"createTime"' in text:
                    break
            process.kill()
        return text

    def test_buf_lists(self) -> None:
        listed = run(BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "--list-methods",
                     f"http://{self.core.address}")
        for service in SERVICES:
            self.assertIn(service, listed)
        self.assertIn("agentdesk.v1.TicketService/CreateTicket", listed)

    def test_list_and_describe(self) -> None:
        if not self.grpcurl:
            self.skipTest("buf curl shows no comments; ReflectionTest reads them")
        listed = set(self.client(self.core.address, "list").split())
        self.assertLessEqual(SERVICES | {"grpc.health.v1.Health"}, listed)
        self.assertIn("agentdesk.v1.TicketService.CreateTicket",
                      self.client(self.core.address, "list", "agentdesk.v1.TicketService"))
        described = self.client(self.core.address, "describe",
                                "agentdesk.v1.TicketService.CreateTicket")
        self.assertIn("Creates a ticket", described, "with the comments")
        described = self.client(self.core.address, "describe", "agentdesk.v1.CreateTicketRequest")
        self.assertRegex(described, r"//\s+1 to 500 characters\.\s+string ticket_name = 1;")
        for service in sorted(listed):
            self.assertIn("is a service", self.client(self.core.address, "describe", service))

    def test_a_refusal_reads_well(self) -> None:
        command = [str(GRPCURL), "-plaintext", "-d", "{}", self.core.address,
                   "agentdesk.v1.TicketService/CreateTicket"] if self.grpcurl else \
            [str(BUF), "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", "{}",
             f"http://{self.core.address}/agentdesk.v1.TicketService/CreateTicket"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(re.search("InvalidArgument|invalid_argument", done.stderr), done.stderr)
        self.assertIn("ticket_name", done.stderr)


class ReflectionTest(DeskTestCase):
    with_gateway = False

    def ask(self, version, **question):
        pb2, stub_class = version
        stub = stub_class(self.desk.channel)
        request = pb2.ServerReflectionRequest(**question)
        return next(iter(stub.ServerReflectionInfo(iter([request]), timeout=30)))

    def files_of(self, answer) -> list[descriptor_pb2.FileDescriptorProto]:
        return [descriptor_pb2.FileDescriptorProto.FromString(data)
                for data in answer.file_descriptor_response.file_descriptor_proto]

    def test_both_versions(self) -> None:
        for name, version in VERSIONS:
            with self.subTest(name):
                listed = {service.name for service in self.ask(
                    version, list_services="").list_services_response.service}
                self.assertLessEqual(SERVICES | {"grpc.health.v1.Health"}, listed)
                for symbol in ("agentdesk.v1.TicketService",
                               "agentdesk.v1.TicketService.CreateTicket",
                               "agentdesk.v1.Event", "grpc.health.v1.Health"):
                    files = self.files_of(self.ask(version, file_containing_symbol=symbol))
                    self.assertTrue(files, symbol)
                file = self.files_of(self.ask(version,
                                              file_by_filename="agentdesk/v1/ticket.proto"))[0]
                comments = [location.leading_comments
                            for location in file.source_code_info.location]
                self.assertTrue(any("1 to 500 characters" in comment for comment in comments))
                unknown = self.ask(version, file_containing_symbol="no.such.Symbol")
                self.assertEqual(unknown.error_response.error_code,
                                 grpc.StatusCode.NOT_FOUND.value[0])

    def test_health_of_each_service(self) -> None:
        stub = health_pb2_grpc.HealthStub(self.desk.channel)
        for service in ("", *SERVICES):
            status = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=30).status
            self.assertEqual(status, health_pb2.HealthCheckResponse.SERVING, service)
        with self.assertRaises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=30)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=30)
        self.assertEqual(next(iter(watch)).status, health_pb2.HealthCheckResponse.SERVING)
        watch.cancel()


if __name__ == "__main__":
    unittest.main()
