// Bearer tokens and what checks them. The first byte picks what the rest is.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core_service/base/base64url.h"
#include "core_service/base/identity.h"
#include "core_service/base/key_set.h"
#include "core_service/base/token_verifier.h"
#include "openssl/evp.h"
#include "openssl/hmac.h"
#include "tests/support/fake_clock.h"

namespace agentdesk {
namespace {

constexpr char kSecret[] = "0123456789abcdef0123456789abcdef";

const TokenVerifier& Verifier() {
  static testing::FakeClock clock;
  static const TokenVerifier* const verifier = [] {
    TrustedIssuer issuer;
    issuer.issuer = "i";
    issuer.audiences = {"a"};
    issuer.algorithms = {TokenAlgorithm::kHs256};
    issuer.keys = std::make_shared<KeySet>(*KeySet::Parse(
        absl::StrCat(R"({"kty":"oct","kid":"k","k":")", EncodeBase64Url(kSecret), R"("})")));
    return new TokenVerifier({issuer}, absl::Seconds(30), clock);
  }();
  return *verifier;
}

// The rest is a header, a line break and claims, which are signed as they should be: what a
// signature keeps from strangers is read strictly all the same.
std::string Signed(absl::string_view rest) {
  const size_t end = rest.find('\n');
  const absl::string_view claims =
      end == absl::string_view::npos ? absl::string_view() : rest.substr(end + 1);
  const std::string text =
      absl::StrCat(EncodeBase64Url(rest.substr(0, end)), ".", EncodeBase64Url(claims));
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), kSecret, sizeof(kSecret) - 1,
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
  return absl::StrCat(text, ".",
                      EncodeBase64Url(absl::string_view(reinterpret_cast<const char*>(mac), size)));
}

void Try(uint8_t what, absl::string_view rest) {
  switch (what % 4) {
    case 0:
      // Nobody makes a signature by chance.
      if (Verifier().Verify(rest).ok()) std::abort();
      break;
    case 1: {
      const absl::StatusOr<Identity> identity = Verifier().Verify(Signed(rest));
      if (!identity.ok()) break;
      if (identity->issuer != "i" || !CheckIdentityName("sub", identity->subject).ok())
        std::abort();
      // A gateway passes it on.
      const absl::StatusOr<Identity> read = DecodeIdentity(EncodeIdentity(*identity));
      if (!read.ok() || read->subject != identity->subject || read->scopes != identity->scopes) {
        std::abort();
      }
      break;
    }
    case 2:
      if (const absl::StatusOr<KeySet> keys = KeySet::Parse(rest); keys.ok()) {
        if (keys->keys().empty() || keys->keys().size() > KeySet::kMaxKeys) std::abort();
      }
      break;
    default:
      (void)DecodeIdentity(rest).ok();
  }
}

}  // namespace
}  // namespace agentdesk

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  agentdesk::Try(data[0], absl::string_view(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
