add_library(agentdesk_store_test_support STATIC
  support/fault_vfs.cc support/store_records.cc support/store_workload.cc support/temp_dir.cc)
target_link_libraries(agentdesk_store_test_support PUBLIC agentdesk_store GTest::gmock)

add_executable(store_test
  conformance/store_conformance.cc conformance/store_copies_conformance.cc
  conformance/store_events_conformance.cc conformance/store_lists_conformance.cc unit/event_block_test.cc unit/event_chain_test.cc
  unit/row_queue_test.cc unit/sqlite_restore_test.cc unit/sqlite_store_test.cc)
target_link_libraries(store_test PRIVATE agentdesk_store_test_support GTest::gmock_main)
gtest_discover_tests(store_test)

add_executable(store_fault_test fault/store_fault_test.cc)
target_link_libraries(store_fault_test PRIVATE agentdesk_store_test_support GTest::gmock_main)
gtest_discover_tests(store_fault_test)
agentdesk_test_headers(agentdesk_store_test_support store_test store_fault_test)
