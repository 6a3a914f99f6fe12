#ifndef AGENTDESK_CORE_SERVICE_RPC_ACCEPTOR_H_
#define AGENTDESK_CORE_SERVICE_RPC_ACCEPTOR_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core_service/base/address.h"
#include "core_service/base/metrics.h"

namespace agentdesk::rpc {

// A listening socket and the thread that accepts from it. gRPC 1.51 stops accepting for ever once
// the process has run out of descriptors (CVE-2023-4785); this goes on as soon as there are some.
//
// Whoever takes a connection closes it without notice, so the open ones are found by looking: a
// descriptor that was handed out counts until its number is accepted again or no longer names the
// same socket.
class Acceptor {
 public:
  // Takes over a connected, non-blocking socket; called on the accepting thread.
  using Take = absl::AnyInvocable<void(int fd)>;

  // Binds and listens, but accepts nothing yet; connections past `max_connections` will be closed
  // at once. Errors are those of agentdesk::Listen.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Listen(const Address& address,
                                                          int max_connections);
  // Stops.
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // With the port that the system chose where it was 0.
  const std::string& address() const { return address_; }
  // Once.
  void Start(Take take);
  // Closes the listening socket; take is not called any more when this returns.
  void Stop();
  // Connections that were handed over, and those that were refused. From any thread.
  int64_t accepted() const { return accepted_.value(); }
  int64_t refused() const { return refused_.value(); }
  // After Stop: ends every connection that is still open, whatever is under way on it.
  void Cut();
  // After Stop: whatever is written to a connection from now on reaches nobody, and its peer finds
  // it closed behind what was written before.
  void StopWriting();

 private:
  Acceptor(int listener, int wake, int max_connections);

  void Run();
  // Accepts until nothing waits. False: descriptors have run out.
  bool AcceptAll();
  void ShedOne();
  bool HasRoom();
  void CountOpen();

  const std::string address_;
  const size_t max_connections_;
  Take take_;
  std::thread thread_;
  const int wake_;  // readable once Stop is called
  int listener_;

  Tally accepted_;
  Tally refused_;

  // Of the accepting thread alone.
  int spare_ = -1;  // given up to accept, and so refuse, a connection when there are no others
  absl::flat_hash_map<int, ino_t> open_;  // descriptor to socket
  absl::Time counted_ = absl::InfinitePast();
  absl::Time warned_ = absl::InfinitePast();
};

}  // namespace agentdesk::rpc

#endif  // AGENTDESK_CORE_SERVICE_RPC_ACCEPTOR_H_
