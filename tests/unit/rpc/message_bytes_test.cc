#include "core_service/rpc/message_bytes.h"

#include <gtest/gtest.h>

#include <string>

#include "agentdesk/v1/agent.pb.h"
#include "agentdesk/v1/ticket.pb.h"
#include "core_service/base/error.h"
#include "grpcpp/support/slice.h"

namespace agentdesk::rpc {
namespace {

grpc::ByteBuffer Bytes(const std::string& text) {
  const grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

std::string Tagged(int field, const std::string& value) {
  return std::string{static_cast<char>(field << 3 | 2), static_cast<char>(value.size())} + value;
}

TEST(MessageBytesTest, ReadsWhatItWrites) {
  v1::CreateTicketRequest request;
  request.set_ticket_name("Grüße");
  (*request.mutable_labels())["a"] = "b";
  v1::CreateTicketRequest read;
  ASSERT_TRUE(Parse(Encode(request), read).ok());
  EXPECT_EQ(read.SerializeAsString(), request.SerializeAsString());
}

TEST(MessageBytesTest, AnEmptyMessageIsAMessageButNoneIsNot) {
  v1::CreateTicketRequest request;
  EXPECT_TRUE(Parse(Bytes(""), request).ok());
  EXPECT_EQ(Parse(grpc::ByteBuffer(), request).code(), absl::StatusCode::kInvalidArgument);
}

TEST(MessageBytesTest, NamesTheTextThatIsNotUtf8) {
  v1::CreateTicketRequest ticket;
  EXPECT_EQ(DetailOf(Parse(Bytes(Tagged(1, "\xff")), ticket)).field, "ticket_name");
  EXPECT_EQ(DetailOf(Parse(Bytes(Tagged(3, Tagged(1, "ok") + Tagged(2, "\xc3"))), ticket)).field,
            "labels[0].value");
  v1::ReportActivityRequest report;
  const std::string good = Tagged(3, Tagged(1, Tagged(1, "ok")));
  const std::string bad = Tagged(3, Tagged(1, Tagged(1, "\xed\xa0\x80")));
  EXPECT_EQ(DetailOf(Parse(Bytes(good + bad), report)).field, "activities[1].message.content");
}

TEST(MessageBytesTest, GarbageIsNoMessage) {
  v1::CreateTicketRequest request;
  for (const char* garbage : {"\xff\xff\xff\xff", "\x0a\x7f", "GET / HTTP/1.1"}) {
    const absl::Status status = Parse(Bytes(garbage), request);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << garbage;
    EXPECT_NE(std::string(status.message()).find("CreateTicketRequest"), std::string::npos);
  }
}

}  // namespace
}  // namespace agentdesk::rpc
