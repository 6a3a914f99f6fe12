#ifndef AGENTDESK_WS_GATEWAY_COMMANDS_H_
#define AGENTDESK_WS_GATEWAY_COMMANDS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agentdesk/v1/event.pb.h"
#include "agentdesk/v1/session.pb.h"
#include "agentdesk/v1/ticket.pb.h"
#include "ws_gateway/client_protocol.h"
#include "ws_gateway/event_json.h"

namespace agentdesk::gateway {

// On whose behalf something is asked.
struct Caller {
  std::string actor;        // a label such as `guest-1a2b`, or who was authenticated
  std::string via;          // `websocket` or `http`
  std::string traceparent;  // as it came, any bytes; what is no trace context is ignored
  // Who was authenticated, by EncodeIdentity, and until when that holds. Empty: authentication is
  // off.
  std::string user = {};
  absl::Time user_until = absl::InfiniteFuture();
  std::string address = {};  // from where, an IP address
};

// Takes the one result of a call. The errors are the core's, with its details (base/error.h), or
// Unavailable and DeadlineExceeded: then the outcome is unknown.
template <typename Response>
using Reply = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

// A frame of a snapshot is as long as this, unless one item alone is longer. No longer, since what
// is slow is told by how long a frame waits: a slow link that is read all the time shall be on
// time.
inline constexpr size_t kMaxSnapshotFrame = 32 * 1024;

// A part of the events that a connection cannot get from its hub.
struct FeedPart {
  std::vector<Frames> snapshot;  // frames of a snapshot, which come before the events
  bool snapshot_complete = false;
  std::shared_ptr<const EventBlock> events;
};

// Events of the core from a position or a snapshot on, for one connection. Destroying it ends it:
// no call comes after.
class Feed {
 public:
  virtual ~Feed() = default;
  // The receiver is ready for the part after the one that it got. Exactly once for each.
  virtual void Next() = 0;
};

// Parts in order; or, as the last call, OutOfRange with the reason `compacted`, `other_desk` or
// `ahead` and the metadata `desk_id` and `available_from`, or another refusal. Breaks of the
// connection to the core are bridged and not seen here, except that a snapshot that was broken off
// is refused as Aborted, with the reason `slow_reader` where others waited for its place.
using FeedReceiver = absl::AnyInvocable<void(absl::StatusOr<FeedPart>)>;

// What a browser may ask of the core. Each shard has its own: it is called on the shard's thread,
// and replies come there later, never from within the call. After the shard has stopped none comes.
class Commands {
 public:
  virtual ~Commands() = default;

  virtual void Call(const Caller& caller, v1::CreateTicketRequest request,
                    Reply<v1::CreateTicketResponse> reply) = 0;
  virtual void Call(const Caller& caller, v1::GetTicketRequest request,
                    Reply<v1::GetTicketResponse> reply) = 0;
  virtual void Call(const Caller& caller, v1::ListTicketsRequest request,
                    Reply<v1::ListTicketsResponse> reply) = 0;
  virtual void Call(const Caller& caller, v1::CancelTicketRequest request,
                    Reply<v1::CancelTicketResponse> reply) = 0;
  virtual void Call(const Caller& caller, v1::RetryTicketRequest request,
                    Reply<v1::RetryTicketResponse> reply) = 0;
  virtual void Call(const Caller& caller, v1::GetJobRequest request,
                    Reply<v1::GetJobResponse> reply) = 0;
  virtual void Call(const Caller& caller, v1::GetSessionRequest request,
                    Reply<v1::GetSessionResponse> reply) = 0;
  virtual void Call(const Caller& caller, v1::ListQuestionsRequest request,
                    Reply<v1::ListQuestionsResponse> reply) = 0;
  virtual void Call(const Caller& caller, v1::GetQuestionRequest request,
                    Reply<v1::GetQuestionResponse> reply) = 0;
  virtual void Call(const Caller& caller, v1::SubmitResponseRequest request,
                    Reply<v1::SubmitResponseResponse> reply) = 0;
  virtual void Call(const Caller& caller, v1::SendMessageRequest request,
                    Reply<v1::SendMessageResponse> reply) = 0;
  virtual void Call(const Caller& caller, v1::ListEventsRequest request,
                    Reply<v1::ListEventsResponse> reply) = 0;

  // kLive is not for here: the hub has that.
  virtual std::unique_ptr<Feed> Follow(const Caller& caller, const SubscribeFrom& from,
                                       const v1::EventFilter& filter, FeedReceiver receiver) = 0;

  // Called by the shard again and again, for what is due by now.
  virtual void Tick() {}
};

}  // namespace agentdesk::gateway

#endif  // AGENTDESK_WS_GATEWAY_COMMANDS_H_
