#include "core_service/store/event_chain.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <initializer_list>
#include <memory>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"

namespace agentdesk::store {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr int kFirstPayloadField = v1::Event::kTicketCreatedFieldNumber;

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

Digest Sha256(std::initializer_list<absl::string_view> pieces) {
  // Fetched once: looking the algorithm up costs more than hashing a small event.
  static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  thread_local std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  Digest digest{};
  bool ok = EVP_DigestInit_ex(context.get(), algorithm, nullptr) == 1;
  for (absl::string_view piece : pieces) {
    ok = ok && EVP_DigestUpdate(context.get(), piece.data(), piece.size()) == 1;
  }
  ok = ok && EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1;
  // Without SHA-256 (no memory, or a crippled OpenSSL) a log that looks sound could not be written.
  if (!ok) std::abort();
  return digest;
}

absl::Status NotAnEvent() { return absl::DataLossError("stored bytes are not an event"); }

}  // namespace

absl::StatusOr<EventParts> SplitEvent(absl::string_view encoded) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(encoded.data()),
                      static_cast<int>(encoded.size()));
  uint32_t size = 0;
  if (WireFormatLite::GetTagFieldNumber(in.ReadTag()) !=
          v1::SubscribeResponse::kEventsFieldNumber ||
      !in.ReadVarint32(&size)) {
    return NotAnEvent();
  }
  const int start = in.CurrentPosition();
  if (size != encoded.size() - static_cast<size_t>(start)) return NotAnEvent();

  EventParts parts;
  for (int at = start;; at = in.CurrentPosition()) {
    const uint32_t tag = in.ReadTag();
    const int field = WireFormatLite::GetTagFieldNumber(tag);
    if (tag == 0) {
      if (at != static_cast<int>(encoded.size())) return NotAnEvent();
      parts.header = encoded.substr(static_cast<size_t>(start), static_cast<size_t>(at - start));
      return parts;
    }
    if (field < kFirstPayloadField) {
      if (!WireFormatLite::SkipField(&in, tag)) return NotAnEvent();
      continue;
    }
    // The payload: the last field, since encoders write fields in the order of their numbers.
    parts.header = encoded.substr(static_cast<size_t>(start), static_cast<size_t>(at - start));
    parts.type = static_cast<v1::EventType>(field - kFirstPayloadField +
                                            static_cast<int>(v1::EVENT_TYPE_TICKET_CREATED));
    uint32_t payload_size = 0;
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED ||
        !in.ReadVarint32(&payload_size) ||
        payload_size != encoded.size() - static_cast<size_t>(in.CurrentPosition())) {
      return NotAnEvent();
    }
    parts.payload = encoded.substr(static_cast<size_t>(in.CurrentPosition()));
    return parts;
  }
}

Digest ContentHash(absl::string_view payload) { return Sha256({payload}); }

Digest ChainValue(const Digest& previous, absl::string_view header, v1::EventType type,
                  const Digest& content_hash) {
  const auto number = static_cast<uint32_t>(type);
  const char type_bytes[] = {static_cast<char>(number >> 24), static_cast<char>(number >> 16),
                             static_cast<char>(number >> 8), static_cast<char>(number)};
  return Sha256({Bytes(previous), header, absl::string_view(type_bytes, sizeof(type_bytes)),
                 Bytes(content_hash)});
}

}  // namespace agentdesk::store
