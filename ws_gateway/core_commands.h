#ifndef AGENTDESK_WS_GATEWAY_CORE_COMMANDS_H_
#define AGENTDESK_WS_GATEWAY_CORE_COMMANDS_H_

#include <cstddef>
#include <deque>
#include <memory>

#include "core_service/client/channel.h"
#include "ws_gateway/commands.h"
#include "ws_gateway/core_link.h"
#include "ws_gateway/shard.h"

namespace agentdesk::gateway {

// The commands of one shard, as calls to the core that block nobody: a deadline ends each of them.
//
// Belongs to the shard's thread.
class CoreCommands final : public Commands {
 public:
  // Both must outlive it, and `shard` the link's calls.
  CoreCommands(CoreLink& link, Shard& shard) : link_(link), shard_(shard) {}

  void Call(const Caller& caller, v1::CreateTicketRequest request,
            Reply<v1::CreateTicketResponse> reply) override;
  void Call(const Caller& caller, v1::GetTicketRequest request,
            Reply<v1::GetTicketResponse> reply) override;
  void Call(const Caller& caller, v1::ListTicketsRequest request,
            Reply<v1::ListTicketsResponse> reply) override;
  void Call(const Caller& caller, v1::CancelTicketRequest request,
            Reply<v1::CancelTicketResponse> reply) override;
  void Call(const Caller& caller, v1::RetryTicketRequest request,
            Reply<v1::RetryTicketResponse> reply) override;
  void Call(const Caller& caller, v1::GetJobRequest request,
            Reply<v1::GetJobResponse> reply) override;
  void Call(const Caller& caller, v1::GetSessionRequest request,
            Reply<v1::GetSessionResponse> reply) override;
  void Call(const Caller& caller, v1::ListQuestionsRequest request,
            Reply<v1::ListQuestionsResponse> reply) override;
  void Call(const Caller& caller, v1::GetQuestionRequest request,
            Reply<v1::GetQuestionResponse> reply) override;
  void Call(const Caller& caller, v1::SubmitResponseRequest request,
            Reply<v1::SubmitResponseResponse> reply) override;
  void Call(const Caller& caller, v1::SendMessageRequest request,
            Reply<v1::SendMessageResponse> reply) override;
  void Call(const Caller& caller, v1::ListEventsRequest request,
            Reply<v1::ListEventsResponse> reply) override;
  std::unique_ptr<Feed> Follow(const Caller& caller, const SubscribeFrom& from,
                               const v1::EventFilter& filter, FeedReceiver receiver) override;
  void Tick() override { BeginFeeds(); }

 private:
  template <typename Response>
  class CoreCall;
  class CoreFeed;

  client::CallLabels Labels(const Caller& caller) const;

  template <typename Request, typename Response, typename Prepare>
  void Start(const Caller& caller, const Request& request, Reply<Response> reply, Prepare prepare);
  // Lets feeds that wait begin, as far as there is room, or somebody makes room.
  void BeginFeeds();
  // Takes the place of one whose browser reads slowly, if there is one: it goes on from where it
  // was when the browser has caught up. In a snapshot there is no such place to go on from: it
  // ends.
  bool MakeRoom();

  CoreLink& link_;
  Shard& shard_;
  std::deque<CoreFeed*> open_feeds_;  // in the order in which they began
  std::deque<CoreFeed*> waiting_feeds_;
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_CORE_COMMANDS_H_
