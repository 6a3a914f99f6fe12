#include "tools/bench/storage.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core_service/base/uuid.h"
#include "core_service/store/row_queue.h"
#include "core_service/store/sqlite_connection.h"
#include "core_service/store/sqlite_store.h"

namespace agentdesk::bench {
namespace {

[[noreturn]] void Fail(absl::string_view what) {
  std::fprintf(stderr, "the floor cannot store: %s\n", std::string(what).c_str());
  std::exit(1);
}

[[noreturn]] void FailErrno(const char* what) {
  Fail(absl::StrCat(what, ": ", std::strerror(errno)));
}

class FileStorage final : public Storage {
 public:
  explicit FileStorage(const std::string& directory)
      : file_(open(absl::StrCat(directory, "/tickets").c_str(), O_CREAT | O_WRONLY | O_APPEND,
                   0600)) {
    if (file_ < 0) FailErrno("open");
  }
  ~FileStorage() override { close(file_); }

  void Keep(const std::vector<std::string>& tickets) override {
    bytes_.clear();
    for (const std::string& ticket : tickets) bytes_.append(ticket);
    if (write(file_, bytes_.data(), bytes_.size()) != static_cast<ssize_t>(bytes_.size())) {
      FailErrno("write");
    }
    if (fdatasync(file_) != 0) FailErrno("fdatasync");
  }

 private:
  const int file_;
  std::string bytes_;
};

constexpr store::Sql kBegin = {"begin", "BEGIN IMMEDIATE"};
constexpr store::Sql kCommit = {"commit", "COMMIT"};
constexpr store::RowQueue::Table kTickets = {
    "store a ticket", "tickets",
    "ticket_key, ticket_id, session_id, status, tenant, actor, trace_id, record"};
constexpr store::RowQueue::Table kJobs = {
    "store a job", "jobs",
    "job_key, job_id, ticket_key, status, queue, priority, claimable, lease_token, due_us, tenant,"
    " actor, trace_id, record"};
constexpr store::RowQueue::Table kEvents = {
    "append an event", "events",
    "sequence, type, time_us, ticket_key, event, content_hash, chain, tenant, actor, trace_id"};
constexpr int64_t kTimeUs = 1'764'466'501'946'551;
constexpr int kCheckpointPages = 4096;
// A job's record is shorter than a ticket's, which has its texts.
constexpr size_t kJobBytes = 171;

// Writes as the core does, by the same means.
class TableStorage final : public Storage {
 public:
  explicit TableStorage(const std::string& directory) : connection_(Open(directory)) {}

  void Keep(const std::vector<std::string>& tickets) override {
    Check(connection_->Checkpoint(kCheckpointPages));
    Check(store::Statement(*connection_, kBegin).Run());
    for (const std::string& ticket : tickets) KeepOne(ticket);
    for (store::RowQueue* queue : {&tickets_, &jobs_, &events_}) Check(queue->Write());
    Check(store::Statement(*connection_, kCommit).Run());
  }

 private:
  static void Check(const absl::Status& status) {
    if (!status.ok()) Fail(status.message());
  }
  static std::unique_ptr<store::Connection> Open(const std::string& directory) {
    const std::string data_dir = absl::StrCat(directory, "/tables");
    // The core makes the tables, so that they are the same ones.
    Check(store::OpenSqliteStore({.data_dir = data_dir, .readers = 1, .vfs = ""}, Clock::Real(),
                                 IdSource::Real())
              .status());
    auto connection = store::Connection::Open(absl::StrCat(data_dir, "/desk.sqlite3"), "",
                                              store::Connection::Access::kWrite);
    Check(connection.status());
    return *std::move(connection);
  }
  // In the order of time but for the last of their bits, as the core's are.
  Uuid NewId() { return {static_cast<uint64_t>(number_), random_()}; }
  void KeepOne(const std::string& ticket) {
    ++number_;
    const std::array<uint64_t, 4> digest = {random_(), random_(), random_(), random_()};
    const store::Blob hash{{reinterpret_cast<const char*>(digest.data()), sizeof(digest)}};
    const store::Blob record{ticket};
    Check(tickets_.Add(number_, NewId(), NewId(), 1, "", "floor", "", record));
    Check(jobs_.Add(number_, NewId(), number_, 1, "default", 5, true, 0, 0, "", "floor", "",
                    store::Blob{absl::string_view(ticket).substr(0, kJobBytes)}));
    Check(events_.Add(number_, 10, kTimeUs, number_, record, hash, hash, "", "floor", ""));
  }

  const std::unique_ptr<store::Connection> connection_;
  store::RowQueue tickets_{*connection_, kTickets};
  store::RowQueue jobs_{*connection_, kJobs};
  store::RowQueue events_{*connection_, kEvents};
  int64_t number_ = 0;
  std::mt19937_64 random_;
};

}  // namespace

std::unique_ptr<Storage> MakeStorage(int argc, char** argv) {
  std::string directory;
  std::string kind;
  for (absl::string_view argument : std::vector<absl::string_view>(argv, argv + argc)) {
    if (absl::ConsumePrefix(&argument, "--data_dir=")) directory = std::string(argument);
    if (absl::ConsumePrefix(&argument, "--storage=")) kind = std::string(argument);
  }
  if (kind == "file") return std::make_unique<FileStorage>(directory);
  if (kind == "tables") return std::make_unique<TableStorage>(directory);
  if (!kind.empty()) Fail(absl::StrCat("--storage=", kind, " is neither file nor tables"));
  return nullptr;
}

}  // namespace agentdesk::bench
