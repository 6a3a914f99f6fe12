# The gRPC skin, as far as it can be tried without a network of calls; the rest is in integration.
add_executable(rpc_test
  unit/rpc/acceptor_test.cc unit/rpc/access_test.cc unit/rpc/call_limits_test.cc unit/rpc/caller_test.cc
  unit/rpc/grpc_status_test.cc unit/rpc/live_calls_test.cc unit/rpc/message_bytes_test.cc
  unit/rpc/open_services_test.cc unit/rpc/stuck_write_test.cc unit/rpc/subscribe_test.cc)
target_link_libraries(rpc_test PRIVATE agentdesk_rpc agentdesk_desk_fixture agentdesk_signing_key
  GTest::gtest_main)
gtest_discover_tests(rpc_test PROPERTIES LABELS unit TIMEOUT 120)
