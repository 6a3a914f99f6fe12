add_executable(tools_test
  unit/tools/agent_process_test.cc unit/tools/agent_protocol_test.cc unit/tools/attempt_park_test.cc
  unit/tools/attempt_test.cc
  unit/tools/lease_status_test.cc unit/tools/line_splitter_test.cc unit/tools/outgoing_test.cc
  unit/tools/transcript_test.cc unit/tools/utf8_test.cc)
target_link_libraries(tools_test PRIVATE
  agentdesk_worker_process agentdesk_worker_attempt agentdesk_tools_text GTest::gmock_main)

add_executable(webhooks_unit_test support/temp_dir.cc unit/tools/webhooks_test.cc)
target_link_libraries(webhooks_unit_test PRIVATE
  agentdesk_webhook_delivery GTest::gmock_main)
gtest_discover_tests(webhooks_unit_test)
gtest_discover_tests(tools_test)
agentdesk_test_headers(tools_test webhooks_unit_test)

if(AGENTDESK_GRPC)
  add_executable(cli_test
    support/temp_dir.cc unit/tools/backup_file_test.cc unit/tools/command_line_test.cc
    unit/tools/create_ticket_test.cc unit/tools/event_text_test.cc)
  target_link_libraries(cli_test PRIVATE agentdesk_cli GTest::gmock_main)
  gtest_discover_tests(cli_test)
endif()
