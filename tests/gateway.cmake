# Unit tests of the gateway's rooms. They need no gRPC and run under every sanitizer.
add_executable(gateway_test
  support/fake_clock.cc
  unit/gateway/authentication_test.cc
  unit/gateway/client_protocol_test.cc
  unit/gateway/connection_test.cc
  unit/gateway/event_cursor_test.cc
  unit/gateway/event_json_test.cc
  unit/gateway/fan_out_pace_test.cc
  unit/gateway/gateway_fixture.cc
  unit/gateway/http_observer_test.cc
  unit/gateway/http_test.cc
  unit/gateway/hub_test.cc
  unit/gateway/load_limits_test.cc
  unit/gateway/request_rules_test.cc
  unit/gateway/shard_test.cc
  unit/gateway/stream_test.cc
  unit/gateway/subscription_test.cc
  unit/gateway/web_files_test.cc
  support/temp_dir.cc)
target_link_libraries(gateway_test PRIVATE
  agentdesk_hub agentdesk_http agentdesk_request_rules agentdesk_shard agentdesk_signing_key
  agentdesk_transport_test_support Boost::json GTest::gmock_main)
gtest_discover_tests(gateway_test)
agentdesk_test_headers(gateway_test)

if(AGENTDESK_GRPC)
  add_executable(client_test
    support/fake_clock.cc
    support/temp_dir.cc
    unit/client/bearer_token_test.cc
    unit/client/event_stream_test.cc
    unit/client/fake_event_service.cc)
  target_link_libraries(client_test PRIVATE agentdesk_client GTest::gmock_main)
  gtest_discover_tests(client_test)
endif()
