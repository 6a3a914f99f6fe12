#include "tools/bench/storage.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
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

// As the core sets up the connection that writes.
constexpr char kSettings[] =
    "PRAGMA synchronous = FULL;"
    "PRAGMA wal_autocheckpoint = 4096;"
    "PRAGMA cache_size = -65536;";
constexpr char kInsertTicket[] =
    "INSERT INTO tickets (ticket_id, session_id, status, tenant, actor, trace_id, record)"
    " VALUES (?1, ?2, 1, '', 'floor', '', ?3)";
constexpr char kInsertJob[] =
    "INSERT INTO jobs (job_id, ticket_key, status, queue, priority, claimable, lease_token, due_us,"
    " tenant, actor, trace_id, record) VALUES (?1, ?2, 1, 'default', 5, 1, 0, 0, '', 'floor', '', "
    "?3)";
constexpr char kInsertEvent[] =
    "INSERT INTO events (sequence, type, time_us, ticket_key, event, content_hash, chain, tenant,"
    " actor, trace_id) VALUES (?1, 10, 1764466501946551, ?1, ?2, ?3, ?3, '', 'floor', '')";
// A job's record is shorter than a ticket's, which has its texts.
constexpr int kJobBytes = 171;

class TableStorage final : public Storage {
 public:
  explicit TableStorage(const std::string& directory) {
    const std::string data_dir = absl::StrCat(directory, "/tables");
    // The core makes the tables, so that they are the same ones.
    const auto made = store::OpenSqliteStore({.data_dir = data_dir, .readers = 1, .vfs = ""},
                                             Clock::Real(), IdSource::Real());
    if (!made.ok()) Fail(made.status().message());
    Check(sqlite3_open_v2(absl::StrCat(data_dir, "/desk.sqlite3").c_str(), &database_,
                          SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr));
    Check(sqlite3_exec(database_, kSettings, nullptr, nullptr, nullptr));
    begin_ = Prepare("BEGIN IMMEDIATE");
    ticket_ = Prepare(kInsertTicket);
    job_ = Prepare(kInsertJob);
    event_ = Prepare(kInsertEvent);
    commit_ = Prepare("COMMIT");
  }
  ~TableStorage() override {
    for (sqlite3_stmt* statement : {begin_, ticket_, job_, event_, commit_}) {
      sqlite3_finalize(statement);
    }
    sqlite3_close(database_);
  }

  void Keep(const std::vector<std::string>& tickets) override {
    Run(begin_);
    for (const std::string& ticket : tickets) KeepOne(ticket);
    Run(commit_);
  }

 private:
  using Id = std::array<uint64_t, 2>;

  void Check(int code) {
    if (code != SQLITE_OK && code != SQLITE_DONE) Fail(sqlite3_errmsg(database_));
  }
  sqlite3_stmt* Prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    Check(sqlite3_prepare_v3(database_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr));
    return statement;
  }
  void Run(sqlite3_stmt* statement) {
    Check(sqlite3_step(statement));
    Check(sqlite3_reset(statement));
  }
  // In the order of time but for the last of their bits, as the core's are.
  Id NewId() { return {__builtin_bswap64(static_cast<uint64_t>(number_)), random_()}; }
  void KeepOne(const std::string& ticket) {
    ++number_;
    const int size = static_cast<int>(ticket.size());
    const std::array<Id, 3> ids = {NewId(), NewId(), NewId()};
    const std::array<Id, 2> digest = {Id{random_(), random_()}, Id{random_(), random_()}};
    sqlite3_bind_blob(ticket_, 1, &ids[0], sizeof(Id), SQLITE_STATIC);
    sqlite3_bind_blob(ticket_, 2, &ids[1], sizeof(Id), SQLITE_STATIC);
    sqlite3_bind_blob(ticket_, 3, ticket.data(), size, SQLITE_STATIC);
    Run(ticket_);
    sqlite3_bind_blob(job_, 1, &ids[2], sizeof(Id), SQLITE_STATIC);
    sqlite3_bind_int64(job_, 2, number_);
    sqlite3_bind_blob(job_, 3, ticket.data(), std::min(size, kJobBytes), SQLITE_STATIC);
    Run(job_);
    sqlite3_bind_int64(event_, 1, number_);
    sqlite3_bind_blob(event_, 2, ticket.data(), size, SQLITE_STATIC);
    sqlite3_bind_blob(event_, 3, &digest, sizeof(digest), SQLITE_STATIC);
    Run(event_);
  }

  sqlite3* database_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* ticket_ = nullptr;
  sqlite3_stmt* job_ = nullptr;
  sqlite3_stmt* event_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
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
