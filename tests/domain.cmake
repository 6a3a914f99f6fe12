add_executable(domain_test
  unit/domain/fold_test.cc unit/domain/job_test.cc unit/domain/lease_test.cc
  unit/domain/question_test.cc unit/domain/response_test.cc unit/domain/session_test.cc
  unit/domain/states_test.cc unit/domain/text_test.cc unit/domain/ticket_in_memory.cc
  unit/domain/ticket_test.cc)
target_link_libraries(domain_test PRIVATE agentdesk_domain GTest::gmock_main)
gtest_discover_tests(domain_test)
agentdesk_test_headers(domain_test)
