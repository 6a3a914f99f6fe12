#include "tools/agentdesk-bench/rpc_load.h"

#include <utility>

#include "agentdesk/v1/event.pb.h"
#include "agentdesk/v1/ticket.pb.h"
#include "tools/agentdesk-bench/creator.h"
#include "tools/agentdesk-bench/failure.h"
#include "tools/agentdesk-bench/ledger.h"

namespace agentdesk::bench {
namespace {

constexpr size_t kDescription = 100;

template <typename Response>
Response Parsed(absl::string_view message) {
  Response response;
  if (!response.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    Fail("a response cannot be read");
  }
  return response;
}

}  // namespace

RpcLoad::RpcLoad(EventLoop& loop, uint16_t port, int connections, int in_flight)
    : loop_(loop), in_flight_(in_flight) {
  for (int i = 0; i < connections; ++i) {
    connections_.push_back(std::make_unique<RpcConnection>(loop, port));
  }
}

RpcLoad::Result RpcLoad::Run(double seconds) {
  const int64_t begin = NowNs();
  ended_ = 0;
  stopping_ = false;
  for (int i = 0; i < in_flight_; ++i) {
    ++busy_;
    StartOne(*connections_[static_cast<size_t>(i) % connections_.size()]);
  }
  for (const auto& connection : connections_) connection->Flush();
  loop_.RunFor(seconds);
  stopping_ = true;
  loop_.RunUntil([this] { return busy_ == 0; }, "answer to every call");
  return {ended_, static_cast<double>(NowNs() - begin) / 1e9};
}

void RpcLoad::Ended(RpcConnection& connection) {
  ++ended_;
  stopping_ ? static_cast<void>(--busy_) : StartOne(connection);
}

void CreateLoad::StartOne(RpcConnection& connection) {
  const int64_t number = NextTicketNumber();
  v1::CreateTicketRequest request;
  request.set_ticket_name(TicketName(number));
  request.set_description(std::string(kDescription, 'x'));
  auto acknowledged = std::make_shared<bool>(false);
  connection.Start(
      "/agentdesk.v1.TicketService/CreateTicket", request,
      [this, acknowledged, number](absl::string_view message) {
        const auto response = Parsed<v1::CreateTicketResponse>(message);
        *acknowledged = response.ticket().ticket_name() == TicketName(number);
        last_id_ = response.ticket_id();
      },
      [this, acknowledged, &connection](int status) {
        if (status != 0 || !*acknowledged) Fail("CreateTicket ended with status ", status);
        Ended(connection);
      });
}

void GetLoad::StartOne(RpcConnection& connection) {
  v1::GetTicketRequest request;
  request.set_ticket_id(ticket_id_);
  auto found = std::make_shared<bool>(false);
  connection.Start(
      "/agentdesk.v1.TicketService/GetTicket", request,
      [this, found](absl::string_view message) {
        *found = Parsed<v1::GetTicketResponse>(message).ticket().ticket_id() == ticket_id_;
      },
      [this, found, &connection](int status) {
        if (status != 0 || !*found) Fail("GetTicket ended with status ", status);
        Ended(connection);
      });
}

void SubscribeLoad::StartOne(RpcConnection& connection) {
  v1::SubscribeRequest request;
  request.set_live(true);
  auto stream = std::make_shared<int32_t>(0);
  *stream = connection.Start(
      "/agentdesk.v1.EventService/Subscribe", request,
      [this, stream, &connection](absl::string_view message) {
        if (Parsed<v1::SubscribeResponse>(message).desk_id().empty()) Fail("a stream of no desk");
        connection.Cancel(*stream);
        Ended(connection);
      },
      [](int status) { Fail("Subscribe ended with status ", status); });
}

}  // namespace agentdesk::bench
