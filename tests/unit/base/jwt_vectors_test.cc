#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "boost/json/object.hpp"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "core_service/base/token_verifier.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace agentdesk {
namespace {

namespace json = boost::json;
using testing::Value;

// Each token of tests/vectors/jwt.json, against the keys of its group and with all algorithms
// allowed, so that the key alone says which one counts.
TEST(JwtVectorsTest, AllAreJudgedAsTheySay) {
  std::ifstream file(AGENTDESK_JWT_VECTORS);
  const json::value vectors = json::parse(
      std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()));
  testing::FakeClock clock;
  clock.Advance(absl::FromUnixSeconds(vectors.at("time").as_int64()) - clock.Now());
  const std::vector<TokenAlgorithm> all = {TokenAlgorithm::kRs256, TokenAlgorithm::kEs256,
                                           TokenAlgorithm::kEdDsa, TokenAlgorithm::kHs256};
  int valid = 0;
  int invalid = 0;
  for (const json::value& group : vectors.at("testGroups").as_array()) {
    TrustedIssuer issuer;
    issuer.issuer = vectors.at("issuer").as_string().c_str();
    issuer.audiences = {vectors.at("audience").as_string().c_str()};
    issuer.algorithms = all;
    issuer.keys = std::make_shared<KeySet>(Value(KeySet::Parse(json::serialize(group.at("keys")))));
    const TokenVerifier verifier({issuer}, absl::Seconds(30), clock);
    for (const json::value& test : group.at("tests").as_array()) {
      const json::string& token = test.at("jwt").as_string();
      const absl::StatusOr<Identity> identity =
          verifier.Verify(absl::string_view(token.data(), token.size()));
      const bool expected = test.at("result").as_string() == "valid";
      EXPECT_EQ(identity.ok(), expected)
          << test.at("tcId").as_int64() << ": " << group.at("comment").as_string().c_str() << ": "
          << test.at("comment").as_string().c_str() << ": " << identity.status();
      if (!identity.ok()) {
        EXPECT_TRUE(absl::IsUnauthenticated(identity.status()));
      }
      ++(expected ? valid : invalid);
    }
  }
  EXPECT_EQ(valid + invalid, vectors.at("numberOfTests").as_int64());
  EXPECT_GT(valid, 40);
  EXPECT_GT(invalid, 900);
}

}  // namespace
}  // namespace agentdesk
