#include "ws_gateway/frame.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace agentdesk::gateway {
namespace {

constexpr size_t kMaxControlPayload = 125;

uint64_t ReadBigEndian(absl::string_view bytes) {
  uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

struct Head {
  size_t size;
  size_t payload;

  size_t end() const { return size + payload; }
};

// Of the frame that `bytes` begins with.
Head FrameHead(absl::string_view bytes) {
  const size_t length = static_cast<unsigned char>(bytes[1]);
  if (length < 126) return {2, length};
  const size_t length_bytes = length == 126 ? 2 : 8;
  return {2 + length_bytes, ReadBigEndian(bytes.substr(2, length_bytes))};
}

}  // namespace

void AppendFrame(Opcode opcode, absl::string_view payload, std::string& out) {
  constexpr unsigned kFin = 0x80;
  const size_t size = payload.size();
  out.push_back(static_cast<char>(kFin | static_cast<unsigned>(opcode)));
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

Frames MakeFrame(absl::string_view payload, Opcode opcode) {
  std::string bytes;
  bytes.reserve(payload.size() + 10);
  AppendFrame(opcode, payload, bytes);
  return OwnFrames(std::move(bytes));
}

Frames OwnFrames(std::string bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  const absl::string_view view = *owner;
  return Frames{std::move(owner), view};
}

Frames MakeCloseFrame(uint16_t code, absl::string_view reason) {
  size_t size = std::min(reason.size(), kMaxControlPayload - 2);
  if (size < reason.size()) {
    while (size > 0 && (static_cast<unsigned char>(reason[size]) & 0xc0) == 0x80) --size;
  }
  const char code_bytes[] = {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  return MakeFrame(absl::StrCat(absl::string_view(code_bytes, 2), reason.substr(0, size)),
                   Opcode::kClose);
}

size_t FrameEnd(absl::string_view bytes, size_t offset) {
  size_t end = 0;
  while (end < offset) end += FrameHead(bytes.substr(end)).end();
  return end;
}

absl::string_view FirstPayload(absl::string_view bytes) {
  const Head head = FrameHead(bytes);
  return bytes.substr(head.size, head.payload);
}

void AppendServerSentEvent(absl::string_view id, absl::string_view data, std::string& out) {
  if (!id.empty()) absl::StrAppend(&out, "id: ", id, "\n");
  while (true) {
    const size_t end = data.find_first_of("\r\n");
    absl::StrAppend(&out, "data: ", data.substr(0, end), "\n");
    if (end == absl::string_view::npos) break;
    data.remove_prefix(end + 1);
  }
  out.push_back('\n');
}

}  // namespace agentdesk::gateway
