#include "tools/agentdesk-webhooks/signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace agentdesk::webhooks {
namespace {

constexpr absl::string_view kPrefix = "whsec_";
constexpr size_t kMinKeyBytes = 24;
constexpr size_t kMaxKeyBytes = 64;

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadKeys(absl::string_view text) {
  std::vector<std::string> keys;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty()) continue;
    std::string& key = keys.emplace_back();
    if (!absl::ConsumePrefix(&line, kPrefix) || !absl::Base64Unescape(line, &key)) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, " must be `", kPrefix, "` and base64"));
    }
    if (key.size() < kMinKeyBytes || key.size() > kMaxKeyBytes) {
      return absl::InvalidArgumentError(absl::StrCat("the key in line ", number, " must have ",
                                                     kMinKeyBytes, " to ", kMaxKeyBytes,
                                                     " bytes, has ", key.size()));
    }
  }
  if (keys.empty()) return absl::InvalidArgumentError("there is no key in it");
  return keys;
}

std::string Sign(const std::vector<std::string>& keys, absl::string_view id, int64_t timestamp,
                 absl::string_view body) {
  const std::string signed_text = absl::StrCat(id, ".", timestamp, ".", body);
  std::string header;
  for (const std::string& key : keys) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size(), digest,
         &size);
    absl::StrAppend(
        &header, header.empty() ? "" : " ", "v1,",
        absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(digest), size)));
  }
  return header;
}

}  // namespace agentdesk::webhooks
