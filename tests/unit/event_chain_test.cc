#include "core_service/store/event_chain.h"

#include <string>

#include "absl/strings/escaping.h"
#include "core_service/store/event_block.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/store_records.h"

namespace agentdesk::store {
namespace {

using testing::HasCode;
using testing::Value;

std::string Hex(const Digest& digest) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

v1::Event SampleEvent() {
  testing::SeededIds ids(1);
  return testing::AgentMessageEvent(testing::NewTicket(ids, "one"), 1, "hello");
}

std::string Encode(const v1::Event& event) {
  EventBlock block;
  block.Append(event);
  return std::string(block.bytes());
}

TEST(EventChain, SplitsHeaderAndPayload) {
  const v1::Event event = SampleEvent();
  const std::string encoded = Encode(event);
  const EventParts parts = Value(SplitEvent(encoded));
  v1::Event header = event;
  header.clear_payload();
  EXPECT_EQ(parts.header, header.SerializeAsString());
  EXPECT_EQ(parts.payload, event.agent_message().SerializeAsString());
  EXPECT_EQ(parts.type, v1::EVENT_TYPE_AGENT_MESSAGE);
}

TEST(EventChain, SplitsAnEventWithoutContent) {
  v1::Event event = SampleEvent();
  event.mutable_job_waiting();
  const std::string encoded = Encode(event);
  const EventParts parts = Value(SplitEvent(encoded));
  EXPECT_EQ(parts.type, v1::EVENT_TYPE_JOB_WAITING);
  EXPECT_TRUE(parts.payload.empty());
}

TEST(EventChain, RefusesWhatIsNoEvent) {
  const std::string encoded = Encode(SampleEvent());
  for (size_t size = 0; size < encoded.size(); ++size) {
    EXPECT_THAT(SplitEvent(encoded.substr(0, size)), HasCode(absl::StatusCode::kDataLoss));
  }
  EXPECT_THAT(SplitEvent(encoded + "x"), HasCode(absl::StatusCode::kDataLoss));
}

// Fixed values: logs that exist must verify for ever.
TEST(EventChain, ValuesNeverChange) {
  EXPECT_EQ(Hex(ContentHash("hello")),
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
  EXPECT_EQ(Hex(ChainValue(Digest{}, "header", v1::EVENT_TYPE_AGENT_MESSAGE, ContentHash("hello"))),
            "acd842fd8a75d5dae8700017cf5717208a752f4f319617d968defc42bf374082");
}

TEST(EventChain, DependsOnEveryPart) {
  const Digest content = ContentHash("hello");
  const Digest chain = ChainValue(Digest{}, "header", v1::EVENT_TYPE_AGENT_MESSAGE, content);
  EXPECT_NE(chain, ChainValue(content, "header", v1::EVENT_TYPE_AGENT_MESSAGE, content));
  EXPECT_NE(chain, ChainValue(Digest{}, "headeR", v1::EVENT_TYPE_AGENT_MESSAGE, content));
  EXPECT_NE(chain, ChainValue(Digest{}, "header", v1::EVENT_TYPE_TOOL_CALL, content));
  EXPECT_NE(chain,
            ChainValue(Digest{}, "header", v1::EVENT_TYPE_AGENT_MESSAGE, ContentHash("hellO")));
}

}  // namespace
}  // namespace agentdesk::store
