#ifndef AGENTDESK_TOOLS_AGENTDESK_BENCH_RPC_LOAD_H_
#define AGENTDESK_TOOLS_AGENTDESK_BENCH_RPC_LOAD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tools/agentdesk-bench/rpc_connection.h"

namespace agentdesk::bench {

// Many calls in flight over a few connections: as soon as one has ended, the next one starts.
class RpcLoad {
 public:
  RpcLoad(EventLoop& loop, uint16_t port, int connections, int in_flight);
  virtual ~RpcLoad() = default;

  struct Result {
    int64_t calls = 0;
    double seconds = 0;
    double per_second() const { return static_cast<double>(calls) / seconds; }
  };
  Result Run(double seconds);

 protected:
  // Starts one call on `connection`, which calls Ended once.
  virtual void StartOne(RpcConnection& connection) = 0;
  void Ended(RpcConnection& connection);

 private:
  EventLoop& loop_;
  const int in_flight_;
  std::vector<std::unique_ptr<RpcConnection>> connections_;
  int busy_ = 0;
  int64_t ended_ = 0;
  bool stopping_ = false;
};

// CreateTicket with about 200 bytes of name and description. Every call must be acknowledged with a
// ticket of that name.
class CreateLoad final : public RpcLoad {
 public:
  using RpcLoad::RpcLoad;
  // The id of the last ticket that was made.
  const std::string& last_id() const { return last_id_; }

 private:
  void StartOne(RpcConnection& connection) override;

  std::string last_id_;
};

// GetTicket of one ticket.
class GetLoad final : public RpcLoad {
 public:
  GetLoad(EventLoop& loop, uint16_t port, int connections, int in_flight, std::string ticket_id)
      : RpcLoad(loop, port, connections, in_flight), ticket_id_(std::move(ticket_id)) {}

 private:
  void StartOne(RpcConnection& connection) override;

  const std::string ticket_id_;
};

// Subscribe from the head of the log on, until the stream tells where it is; then it is cancelled.
class SubscribeLoad final : public RpcLoad {
 public:
  using RpcLoad::RpcLoad;

 private:
  void StartOne(RpcConnection& connection) override;
};

}  // namespace agentdesk::bench

#endif  // AGENTDESK_TOOLS_AGENTDESK_BENCH_RPC_LOAD_H_
