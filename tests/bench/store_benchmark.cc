// What the store does for a create and for a replayed event, on the disk of the temporary
// directory.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>

#include "core_service/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/store_records.h"
#include "tests/support/temp_dir.h"

namespace agentdesk {
namespace {

class StoredTickets {
 public:
  StoredTickets() : ids_(1) {
    store::SqliteOptions options;
    options.data_dir = dir_.path();
    auto opened = store::OpenSqliteStore(options, clock_, ids_);
    if (!opened.ok()) std::abort();
    store_ = *std::move(opened);
  }

  // So many new tickets in one transaction, each with a job and an event.
  void Create(int64_t count) {
    auto transaction = store_->Begin();
    if (!transaction.ok()) std::abort();
    for (int64_t i = 0; i < count; ++i) {
      auto ticket = testing::NewTicket(ids_, "a name that fills the message to 200 bytes");
      const auto job = testing::NewJob(ids_, ticket);
      const auto event = testing::TicketCreatedEvent(ticket, (*transaction)->head() + 1);
      if (!(*transaction)->PutTicket(ticket).ok() || !(*transaction)->PutJob(job).ok() ||
          !(*transaction)->Append(event).ok()) {
        std::abort();
      }
    }
    if (!(*transaction)->Commit().ok()) std::abort();
  }
  store::Store& store() { return *store_; }

 private:
  testing::TempDir dir_;
  testing::FakeClock clock_;
  testing::SeededIds ids_;
  std::unique_ptr<store::Store> store_;
};

// CPU time leaves out the wait for the disk.
void StoreCreate(benchmark::State& state) {
  StoredTickets tickets;
  for (auto _ : state) tickets.Create(state.range(0));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(StoreCreate)->Arg(1)->Arg(32);

// The next batch of a stream that is behind the tail.
void StoreReplay(benchmark::State& state) {
  constexpr int64_t kEvents = 20000;
  StoredTickets tickets;
  tickets.Create(kEvents);
  store::EventQuery query;
  query.max_events = 1024;
  int64_t events = 0;
  for (auto _ : state) {
    const auto view = tickets.store().OpenView();
    if (!view.ok()) std::abort();
    const auto read = (*view)->ReadEvents(query);
    if (!read.ok()) std::abort();
    benchmark::DoNotOptimize(read->bytes->data());
    events += read->complete_up_to - query.after;
    query.after = read->complete_up_to == kEvents ? 0 : read->complete_up_to;
  }
  state.SetItemsProcessed(events);
}
BENCHMARK(StoreReplay);

}  // namespace
}  // namespace agentdesk
