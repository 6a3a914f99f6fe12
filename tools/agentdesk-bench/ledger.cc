#include "tools/agentdesk-bench/ledger.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "tools/agentdesk-bench/failure.h"

namespace agentdesk::bench {
namespace {

constexpr absl::string_view kTicketStart = "{\"type\":\"ticket_created\"";
constexpr absl::string_view kNameStart = "\"ticket_name\":\"bench-";
constexpr size_t kDigits = 10;
constexpr absl::string_view kSequenceStart = ",\"sequence\":";

int64_t NumberAfter(absl::string_view text, absl::string_view start) {
  const size_t at = text.find(start);
  if (at == absl::string_view::npos) return -1;
  text.remove_prefix(at + start.size());
  size_t size = 0;
  while (size < text.size() && text[size] >= '0' && text[size] <= '9') ++size;
  int64_t number = -1;
  return absl::SimpleAtoi(text.substr(0, size), &number) ? number : -1;
}

}  // namespace

std::string TicketName(int64_t number) {
  return absl::StrFormat("bench-%0*d %s", kDigits, number,
                         "a name that fills the message to 200 bytes");
}

void Ledger::Take(int64_t position, absl::string_view text, int browser, int64_t at) {
  if (position == end()) Learn(text);
  Message& message = messages_[static_cast<size_t>(position - first_)];
  if (message.text != text) {
    Fail("browser ", browser, " got at position ", position, "\n  ", text,
         "\nwhere another one got\n  ", message.text);
  }
  ++message.seen;
  if (listener_ != nullptr) listener_->OnDelivered(message, browser, at);
  if (message.seen < readers_) return;
  if (position != first_) Fail("position ", position, " was complete before ", first_);
  const Message done = std::move(messages_.front());
  messages_.pop_front();
  ++first_;
  if (listener_ != nullptr) listener_->OnComplete(done);
}

void Ledger::Learn(absl::string_view text) {
  const int64_t sequence = NumberAfter(text.substr(0, 64), kSequenceStart);
  if (sequence >= 0) {
    if (last_sequence_ != 0 && sequence != last_sequence_ + 1) {
      Fail("event ", sequence, " came after event ", last_sequence_);
    }
    last_sequence_ = sequence;
  }
  const bool created = absl::StartsWith(text, kTicketStart);
  const int64_t number = created ? NumberAfter(text, kNameStart) : -1;
  if (number >= 0 && !created_.insert(number).second) Fail("came twice: ", text);
  messages_.push_back({std::string(text), number, 0});
}

}  // namespace agentdesk::bench
