#ifndef AGENTDESK_CORE_SERVICE_BASE_ADMIN_HTTP_H_
#define AGENTDESK_CORE_SERVICE_BASE_ADMIN_HTTP_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core_service/base/address.h"
#include "core_service/base/mutex.h"
#include "core_service/base/thread_pool.h"

namespace agentdesk {

// A few pages for whoever operates a process: its metrics and probes, by GET or HEAD (RFC 9112),
// one request for each connection. It is to answer when nothing else does, so one thread serves all
// connections, none of them for longer than `timeout`, and one too many takes the place of the one
// that has been silent for longest: whoever opens connections and says nothing is in nobody's way.
class AdminHttp {
 public:
  struct Answer {
    int status = 200;
    std::string content_type = "text/plain; charset=utf-8";
    std::string body;
  };
  struct Page {
    std::string path;
    std::function<Answer()> make;
    // It may take a while, and is made beside the others: at most two of them at a time. Any other
    // holds up all connections, and must return within some milliseconds.
    bool blocks = false;
  };
  struct Limits {
    size_t max_connections = 0;
    size_t max_request_bytes = 8 * 1024;  // request line and headers; more is answered with 431
    // From accept to the last byte of the request, and from there to that of the answer.
    absl::Duration timeout = absl::Seconds(5);
  };

  // Listens and serves. Errors are those of agentdesk::Listen.
  static absl::StatusOr<std::unique_ptr<AdminHttp>> Start(const Address& address,
                                                          std::vector<Page> pages, Limits limits);
  // Closes everything. Waits for pages that are being made.
  ~AdminHttp();
  AdminHttp(const AdminHttp&) = delete;
  AdminHttp& operator=(const AdminHttp&) = delete;

  // With the port that the system chose where it was 0.
  const std::string& address() const { return address_; }

 private:
  enum class Phase : uint8_t {
    kReading,  // the request
    kMaking,   // a page that blocks is being made
    kWriting,  // the answer
    kClosing,  // written; what still comes is discarded until the client closes
  };
  struct Connection {
    int fd = -1;
    Phase phase = Phase::kReading;
    absl::Duration deadline;
    bool is_head = false;
    std::string in;
    std::string out;
  };
  using Connections = absl::flat_hash_map<uint64_t, Connection>;

  AdminHttp(int listener, int wake, std::vector<Page> pages, Limits limits);

  void Run();
  void AcceptAll();
  // False: the connection is over.
  bool Progress(uint64_t id, Connection& connection);
  bool Read(uint64_t id, Connection& connection);
  bool OnRequest(uint64_t id, Connection& connection);
  bool Respond(Connection& connection, const Answer& answer);
  bool Write(Connection& connection);
  void MakeBeside(uint64_t id, const Page& page) ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeMade() ABSL_LOCKS_EXCLUDED(mutex_);
  void DropOverdue();

  const std::string address_;
  const std::vector<Page> pages_;
  const Limits limits_;
  const int listener_;
  const int wake_;  // written to when a page was made or the server is to stop

  // Of the serving thread alone.
  Connections connections_;
  uint64_t next_id_ = 1;
  bool out_of_descriptors_ = false;

  Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::pair<uint64_t, Answer>> made_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
  std::unique_ptr<ThreadPool> makers_;
};

}  // namespace agentdesk

#endif  // AGENTDESK_CORE_SERVICE_BASE_ADMIN_HTTP_H_
