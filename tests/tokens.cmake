# Tokens and keys: what a stranger may show us.
add_executable(tokens_test
  support/fake_clock.cc unit/base/compact_jws_test.cc unit/base/jwt_vectors_test.cc
  unit/base/key_set_test.cc unit/base/token_verifier_test.cc)
target_compile_definitions(tokens_test PRIVATE
  AGENTDESK_JWT_VECTORS="${CMAKE_CURRENT_SOURCE_DIR}/vectors/jwt.json")
target_link_libraries(tokens_test PRIVATE
  agentdesk_signing_key agentdesk_tokens GTest::gmock_main OpenSSL::Crypto)
gtest_discover_tests(tokens_test PROPERTIES LABELS unit TIMEOUT 120)
agentdesk_test_headers(tokens_test)
