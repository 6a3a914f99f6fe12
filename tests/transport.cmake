add_executable(ws_echo support/ws_echo.cc)
target_link_libraries(ws_echo PRIVATE agentdesk_transport absl::flags)

add_library(agentdesk_transport_test_support STATIC
  support/raw_client.cc support/transport_server.cc)
target_link_libraries(agentdesk_transport_test_support PUBLIC agentdesk_transport)

add_executable(transport_test
  support/echo_program.cc
  unit/frame_test.cc unit/maybe_tls_stream_test.cc unit/outbox_test.cc unit/tls_session_test.cc
  integration/rfc6455_frames_test.cc integration/transport_http_test.cc
  integration/transport_socket_test.cc integration/transport_stream_test.cc)
target_link_libraries(transport_test PRIVATE agentdesk_transport_test_support GTest::gtest_main)
target_compile_definitions(transport_test PRIVATE WS_ECHO_PROGRAM="$<TARGET_FILE:ws_echo>")
add_dependencies(transport_test ws_echo)
gtest_discover_tests(transport_test)
