#ifndef AGENTDESK_TOOLS_AGENTDESK_EVENT_TEXT_H_
#define AGENTDESK_TOOLS_AGENTDESK_EVENT_TEXT_H_

#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentdesk/v1/event.pb.h"
#include "agentdesk/v1/session.pb.h"
#include "agentdesk/v1/ticket.pb.h"

namespace agentdesk::cli {

// Text for people, with colours where wanted. Nothing that an agent or a human wrote can steer the
// terminal.
class EventText {
 public:
  // `program` is how a shell runs it, for the commands that a text proposes.
  EventText(bool colour, absl::TimeZone zone, std::string program)
      : colour_(colour), zone_(zone), program_(std::move(program)) {}

  // One event, on one line or more, each with its line break.
  std::string Of(const v1::Event& event);
  // A question that may be open: what is asked, what can be answered, and how.
  std::string Of(const v1::Question& question);
  // One line of a list of tickets.
  std::string LineOf(const v1::Ticket& ticket);
  std::string Of(const v1::Ticket& ticket);
  std::string Of(const v1::Job& job);

  enum class Style { kPlain, kDim, kBold, kRed, kGreen, kYellow, kBlue, kMagenta, kCyan };
  std::string Styled(Style style, absl::string_view text) const;
  std::string Time(const google::protobuf::Timestamp& time) const;

 private:
  struct Line {
    Style style = Style::kPlain;
    std::string label;
    std::string text;
  };
  Line Describe(const v1::Event& event);
  std::string NameOf(const v1::Event& event);
  std::string TextOf(const v1::Question& question) const;

  const bool colour_;
  const absl::TimeZone zone_;
  const std::string program_;
  absl::flat_hash_map<std::string, std::string> ticket_names_;  // as far as they were seen
};

// A word as a shell takes it.
std::string ShellWord(absl::string_view text);

}  // namespace agentdesk::cli

#endif  // AGENTDESK_TOOLS_AGENTDESK_EVENT_TEXT_H_
