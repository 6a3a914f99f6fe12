#include "core_service/pulse.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "tests/support/desk_fixture.h"
#include "tests/support/fault_vfs.h"

namespace agentdesk {
namespace {

class PulseTest : public testing::DeskFixture {
 protected:
  v1::CreateTicketRequest Request() {
    v1::CreateTicketRequest request;
    request.set_ticket_name("Ticket");
    return request;
  }
};

TEST_F(PulseTest, AWriterThatHangsIsNoticedAlsoWhereNoMoreCommandsAreTaken) {
  testing::FaultVfs disk;
  Close();
  vfs_ = disk.name();
  options_.max_commands = 1;
  Open();
  std::promise<void> stalled;
  std::promise<void> resumed;
  disk.StallNextSync([&] {
    stalled.set_value();
    resumed.get_future().wait();
  });
  std::promise<bool> created;
  desk_->Execute({}, Request(), [&](const absl::StatusOr<v1::CreateTicketResponse>& r) {
    created.set_value(r.ok());
  });
  stalled.get_future().wait();
  EXPECT_TRUE(absl::IsResourceExhausted(Call<v1::CreateTicketResponse>(Request()).status()));
  Pulse pulse(*desk_);
  EXPECT_TRUE(pulse.Beats());
  for (int i = 0; i < 3; ++i) {
    // A reader has answered by then, but only a reader.
    std::promise<void> read;
    desk_->ProbeReads([&](const absl::Status&) { read.set_value(); });
    read.get_future().wait();
    EXPECT_FALSE(pulse.Beats());
  }
  resumed.set_value();
  EXPECT_TRUE(created.get_future().get());
  while (!pulse.Beats()) std::this_thread::yield();
  Close();
}

}  // namespace
}  // namespace agentdesk
