#include "ws_gateway/frame.h"

#include <utility>

namespace agentdesk::gateway {

void AppendTextFrame(absl::string_view payload, std::string& out) {
  constexpr char kFinText = static_cast<char>(0x81);
  const size_t size = payload.size();
  out.push_back(kFinText);
  int length_bytes = 0;
  if (size < 126) {
    out.push_back(static_cast<char>(size));
  } else if (size <= 0xffff) {
    out.push_back(126);
    length_bytes = 2;
  } else {
    out.push_back(127);
    length_bytes = 8;
  }
  for (int shift = 8 * (length_bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>((size >> shift) & 0xff));
  }
  out.append(payload.data(), payload.size());
}

Frames MakeFrame(absl::string_view payload) {
  std::string bytes;
  bytes.reserve(payload.size() + 10);
  AppendTextFrame(payload, bytes);
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  const absl::string_view view = *owner;
  return Frames{std::move(owner), view, 0};
}

}  // namespace agentdesk::gateway
