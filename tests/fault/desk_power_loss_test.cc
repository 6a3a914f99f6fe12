#include <cstdint>
#include <cstdlib>
#include <future>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core_service/desk/desk.h"
#include "core_service/store/sqlite_store.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/status_matchers.h"
#include "tests/support/store_records.h"
#include "tests/support/temp_dir.h"

namespace agentdesk::desk {
namespace {

using testing::FaultVfs;
using testing::IsOk;
using testing::SeededIds;
using testing::TempDir;

constexpr int kRounds = 12;
constexpr int kTicketsInRound = 5;

uint64_t Seeds() {
  const char* text = std::getenv("AGENTDESK_TEST_SEEDS");
  uint64_t count = 0;
  return text != nullptr && absl::SimpleAtoi(text, &count) ? count : 30;
}

absl::StatusOr<std::unique_ptr<store::Store>> Open(const std::string& data_dir,
                                                   const std::string& vfs, IdSource& ids) {
  return store::OpenSqliteStore(
      {.data_dir = data_dir, .readers = 2, .vfs = vfs, .checkpoint_pages = 40}, Clock::Real(), ids);
}

// The acknowledged tickets: their id by the sequence of their event.
using Acknowledged = std::map<int64_t, std::string>;

// Brings tickets, several at a time, until the desk has failed or all are there.
Acknowledged BringTickets(store::Store& store, IdSource& ids) {
  Acknowledged acknowledged;
  auto desk = Desk::Start({}, store, Clock::Real(), ids);
  if (!desk.ok()) return acknowledged;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::future<absl::StatusOr<v1::CreateTicketResponse>>> answers;
    for (int i = 0; i < kTicketsInRound; ++i) {
      v1::CreateTicketRequest request;
      request.set_ticket_name(absl::StrCat("Ticket ", round, ".", i));
      request.set_description(std::string(2000, 'x'));
      auto answer = std::make_shared<std::promise<absl::StatusOr<v1::CreateTicketResponse>>>();
      answers.push_back(answer->get_future());
      (*desk)->Execute(Caller{}, std::move(request),
                       [answer](auto response) { answer->set_value(std::move(response)); });
    }
    for (auto& answer : answers) {
      const absl::StatusOr<v1::CreateTicketResponse> response = answer.get();
      if (response.ok()) acknowledged[response->sequence()] = response->ticket_id();
    }
  }
  return acknowledged;
}

// What is left holds a log without holes with everything that was acknowledged.
void ExpectThere(const std::string& data_dir, const Acknowledged& acknowledged, uint64_t seed) {
  SeededIds ids(seed + 1000);
  FaultVfs sound;
  auto store = Open(data_dir, sound.name(), ids);
  ASSERT_THAT(store, IsOk());
  auto view = (*store)->OpenView();
  ASSERT_THAT(view, IsOk());
  for (const auto& [sequence, ticket_id] : acknowledged) {
    EXPECT_LE(sequence, (*view)->head());
    EXPECT_THAT((*view)->FindTicket(ticket_id), IsOk()) << "acknowledged at " << sequence;
  }
}

TEST(DeskPowerLoss, WhatTheDeskAcknowledgedIsThere) {
  const uint64_t seeds = Seeds();
  int64_t operations = 0;
  size_t lost = 0;
  for (uint64_t seed = 0; seed <= seeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937_64 random(seed);
    TempDir before;
    TempDir after;
    SeededIds ids(seed);
    FaultVfs vfs;
    // The first run goes to its end and shows how long the others may last.
    if (seed > 0) {
      vfs.CutPowerAt(1 + static_cast<int64_t>(random() % static_cast<uint64_t>(operations)));
    }
    Acknowledged acknowledged;
    if (auto store = Open(before.path(), vfs.name(), ids); store.ok()) {
      acknowledged = BringTickets(**store, ids);
    }
    const size_t all = kRounds * kTicketsInRound;
    if (seed == 0) {
      operations = vfs.Count(FaultVfs::Operation::kWrite) + vfs.Count(FaultVfs::Operation::kSync);
      ASSERT_EQ(acknowledged.size(), all);
    } else if (acknowledged.size() < all) {
      ++lost;
    }
    vfs.WriteDiskAfterLoss(after.path(), seed);
    ExpectThere(after.path(), acknowledged, seed);
    if (HasFailure()) return;
  }
  EXPECT_GT(lost, seeds / 2) << "too few runs were cut for this to mean anything";
}

// Brings one ticket after the other until the desk has failed; answers how many it acknowledged.
int BringNamedTickets(Desk& desk, int from, int to) {
  for (int i = from; i < to; ++i) {
    v1::CreateTicketRequest request;
    request.set_ticket_name(absl::StrCat("Ticket ", i));
    request.set_request_id(absl::StrCat("request-", i));
    std::promise<absl::StatusOr<v1::CreateTicketResponse>> answer;
    desk.Execute(Caller{}, std::move(request),
                 [&answer](auto response) { answer.set_value(std::move(response)); });
    if (!answer.get_future().get().ok()) return i;
  }
  return to;
}

// A core is killed between the write of a commit and its sync. The next one finds it in the log,
// and acknowledges the repeated call with nothing to write.
TEST(DeskPowerLoss, WhatIsAcknowledgedAgainAfterAKillIsThere) {
  constexpr int kTickets = 6;
  int repeated = 0;
  for (int64_t killed_at = 1;; ++killed_at) {
    SCOPED_TRACE(absl::StrCat("killed at operation ", killed_at));
    TempDir before;
    TempDir after;
    SeededIds ids(9);
    FaultVfs vfs;
    vfs.CutPowerAt(killed_at);
    int acknowledged = 0;
    if (auto store = Open(before.path(), vfs.name(), ids); store.ok()) {
      if (auto desk = Desk::Start({}, **store, Clock::Real(), ids); desk.ok()) {
        acknowledged = BringNamedTickets(**desk, 0, kTickets);
      }
    }
    if (!vfs.power_is_cut()) break;
    vfs.StartAgain();
    {
      auto store = Open(before.path(), vfs.name(), ids);
      ASSERT_THAT(store, IsOk());
      auto desk = Desk::Start({}, **store, Clock::Real(), ids);
      ASSERT_THAT(desk, IsOk());
      if (acknowledged < kTickets) {
        ASSERT_EQ(BringNamedTickets(**desk, acknowledged, acknowledged + 1), acknowledged + 1);
        ++acknowledged;
        ++repeated;
      }
      vfs.WriteDiskAfterLoss(after.path(), static_cast<uint64_t>(killed_at));
    }
    FaultVfs sound;
    auto store = Open(after.path(), sound.name(), ids);
    ASSERT_THAT(store, IsOk());
    EXPECT_EQ((*(*store)->OpenView())->head(), acknowledged);
    if (HasFailure()) return;
  }
  EXPECT_GT(repeated, 50) << "too few kills for this to mean anything";
}

}  // namespace
}  // namespace agentdesk::desk
