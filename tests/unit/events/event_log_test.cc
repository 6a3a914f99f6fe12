#include "core_service/events/event_log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "core_service/base/mutex.h"
#include "core_service/events/subscription.h"

namespace agentdesk::events {
namespace {

constexpr char kTicket[] = "2bbab082-7928-816f-88e2-f42f69157f7b";
constexpr char kOther[] = "ca35686a-9be9-4437-868c-54b9976b71ec";

std::shared_ptr<const store::EventBlock> Block(int64_t first, int64_t last,
                                               const std::string& ticket_id = kTicket) {
  auto block = std::make_shared<store::EventBlock>();
  for (int64_t sequence = first; sequence <= last; ++sequence) {
    v1::Event event;
    event.set_sequence(sequence);
    event.set_ticket_id(ticket_id);
    event.mutable_user_message()->set_content("message " + std::to_string(sequence));
    block->Append(event);
  }
  return block;
}

std::vector<int64_t> Sequences(const Subscription::Batch& batch) {
  v1::SubscribeResponse decoded;
  for (const Piece& piece : batch.pieces) {
    EXPECT_TRUE(decoded.MergeFromString(std::string(piece.bytes)));
  }
  std::vector<int64_t> sequences;
  for (const v1::Event& event : decoded.events()) sequences.push_back(event.sequence());
  return sequences;
}

class Bell final : public Waiter {
 public:
  void OnEvents() override {
    MutexLock lock(mutex_);
    rung_ = true;
    changed_.NotifyAll();
  }
  void Wait() {
    MutexLock lock(mutex_);
    while (!rung_) changed_.Wait(mutex_);
    rung_ = false;
  }

 private:
  Mutex mutex_;
  Condition changed_;
  bool rung_ ABSL_GUARDED_BY(mutex_) = false;
};

TEST(EventLogTest, ACursorReadsWhatFollowsAndThenWaits) {
  EventLog log({}, 0, 1);
  auto bell = std::make_shared<Bell>();
  Subscription subscription(log, {}, 0, {});
  EXPECT_EQ(subscription.Next(bell).found, EventLog::Found::kWaiting);
  const auto woken = log.Append(Block(1, 3));
  ASSERT_EQ(woken.size(), 1u);
  EXPECT_EQ(Sequences(subscription.Next(bell)), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(subscription.Next(bell).found, EventLog::Found::kWaiting);
  subscription.Forget(bell);
  EXPECT_TRUE(log.Append(Block(4, 4)).empty());
}

TEST(EventLogTest, ABatchEndsAtItsLimitAndTheNextGoesOnThere) {
  EventLog log({}, 0, 1);
  log.Append(Block(1, 100));
  log.Append(Block(101, 150));
  Subscription subscription(log, {}, 10, {.max_events = 60});
  std::vector<int64_t> all;
  while (subscription.position() < 150) {
    const Subscription::Batch batch = subscription.Next(nullptr);
    ASSERT_EQ(batch.found, EventLog::Found::kEvents);
    const std::vector<int64_t> part = Sequences(batch);
    EXPECT_LE(part.size(), 60u);
    EXPECT_EQ(batch.up_to, part.back());
    all.insert(all.end(), part.begin(), part.end());
  }
  ASSERT_EQ(all.size(), 140u);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], static_cast<int64_t>(i) + 11);
}

TEST(EventLogTest, AnEventLargerThanABatchStillPasses) {
  EventLog log({}, 0, 1);
  log.Append(Block(1, 2));
  Subscription subscription(log, {}, 0, {.max_events = 256, .max_bytes = 1});
  EXPECT_EQ(Sequences(subscription.Next(nullptr)), (std::vector<int64_t>{1}));
  EXPECT_EQ(Sequences(subscription.Next(nullptr)), (std::vector<int64_t>{2}));
}

TEST(EventLogTest, AFilteredCursorSaysHowFarItIsComplete) {
  EventLog log({}, 0, 1);
  log.Append(Block(1, 5, kOther));
  log.Append(Block(6, 7, kTicket));
  log.Append(Block(8, 9, kOther));
  v1::EventFilter wanted;
  wanted.add_ticket_ids("2BBAB082-7928-816F-88E2-F42F69157F7B");
  Subscription subscription(log, *Filter::Create(wanted), 0, {});
  const Subscription::Batch batch = subscription.Next(nullptr);
  EXPECT_EQ(Sequences(batch), (std::vector<int64_t>{6, 7}));
  EXPECT_EQ(batch.up_to, 9);
}

TEST(EventLogTest, AFilterRefusesWhatItCannotMean) {
  v1::EventFilter bad_id;
  bad_id.add_session_ids("x");
  EXPECT_TRUE(absl::IsInvalidArgument(Filter::Create(bad_id).status()));
  v1::EventFilter bad_type;
  bad_type.add_types(static_cast<v1::EventType>(99));
  EXPECT_TRUE(absl::IsInvalidArgument(Filter::Create(bad_type).status()));
  v1::EventFilter long_list;
  for (int i = 0; i < 101; ++i) long_list.add_ticket_ids(kTicket);
  EXPECT_TRUE(absl::IsInvalidArgument(Filter::Create(long_list).status()));
}

TEST(EventLogTest, BehindTheTailTheStoreIsAskedAndBehindTheOldestItIsRefused) {
  EventLog log({.max_events = 10}, 100, 50);
  for (int64_t sequence = 101; sequence <= 130; ++sequence) log.Append(Block(sequence, sequence));
  EXPECT_EQ(Subscription(log, {}, 48, {}).Next(nullptr).found, EventLog::Found::kCompacted);
  EXPECT_EQ(Subscription(log, {}, 49, {}).Next(nullptr).found, EventLog::Found::kInStore);
  EXPECT_EQ(Subscription(log, {}, 119, {}).Next(nullptr).found, EventLog::Found::kInStore);
  EXPECT_EQ(Sequences(Subscription(log, {}, 120, {}).Next(nullptr)).size(), 10u);
}

TEST(EventLogTest, APositionThatIsBeingCommittedIsReached) {
  EventLog log({}, 5, 1);
  log.Expect(7);
  EXPECT_EQ(log.head(), 5);
  EXPECT_EQ(log.reached(), 7);
  auto bell = std::make_shared<Bell>();
  Subscription subscription(log, {}, 7, {});
  EXPECT_EQ(subscription.Next(bell).found, EventLog::Found::kWaiting);
  EventLog::Wake(log.Append(Block(6, 8)));
  bell->Wait();
  EXPECT_EQ(Sequences(subscription.Next(bell)), (std::vector<int64_t>{8}));
}

TEST(EventLogTest, NoSubscriberMissesOrDoublesAnEventWhileOthersAppend) {
  constexpr int64_t kEvents = 20000;
  EventLog log({}, 0, 1);
  std::atomic<int> complete = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&log, &complete, i] {
      auto bell = std::make_shared<Bell>();
      Subscription subscription(log, {}, 0, {.max_events = 1 + i * 7});
      int64_t expected = 1;
      while (expected <= kEvents) {
        const Subscription::Batch batch = subscription.Next(bell);
        if (batch.found == EventLog::Found::kWaiting) {
          bell->Wait();
          continue;
        }
        for (const int64_t sequence : Sequences(batch)) {
          if (sequence != expected) return;
          ++expected;
        }
      }
      ++complete;
    });
  }
  for (int64_t sequence = 1; sequence <= kEvents; sequence += 10) {
    EventLog::Wake(log.Append(Block(sequence, sequence + 9)));
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(complete, 4);
}

}  // namespace
}  // namespace agentdesk::events
