# base, events and the desk: free of gRPC, so all of it also runs under the thread sanitizer.
add_library(agentdesk_desk_fixture STATIC support/desk_fixture.cc support/fake_clock.cc)
target_link_libraries(agentdesk_desk_fixture
  PUBLIC agentdesk_desk agentdesk_store_test_support GTest::gtest)

add_executable(desk_test
  unit/base/address_test.cc unit/base/admin_http_test.cc unit/base/base_test.cc
  unit/base/metrics_test.cc unit/base/span_exporter_test.cc unit/base/trace_context_test.cc
  unit/events/event_log_test.cc unit/desk/answer_test.cc unit/desk/claim_test.cc unit/desk/desk_test.cc
  unit/desk/limits_test.cc unit/desk/restored_desk_test.cc unit/desk/retention_test.cc
  unit/desk/snapshot_test.cc unit/desk/tenant_test.cc unit/desk/time_test.cc unit/pulse_test.cc
  ${CMAKE_SOURCE_DIR}/core_service/pulse.cc)
target_link_libraries(desk_test PRIVATE agentdesk_desk_fixture GTest::gtest_main)
gtest_discover_tests(desk_test PROPERTIES LABELS unit TIMEOUT 120)

add_executable(desk_fault_test fault/desk_power_loss_test.cc)
target_link_libraries(desk_fault_test PRIVATE agentdesk_desk_fixture GTest::gmock_main)
gtest_discover_tests(desk_fault_test PROPERTIES LABELS fault TIMEOUT 120)
agentdesk_test_headers(agentdesk_desk_fixture desk_test desk_fault_test)

if(NOT AGENTDESK_SANITIZE)
  add_executable(out_of_resources_test unit/base/out_of_resources_test.cc)
  target_link_libraries(out_of_resources_test PRIVATE agentdesk_base GTest::gtest_main)
  gtest_discover_tests(out_of_resources_test PROPERTIES LABELS unit TIMEOUT 120)
  agentdesk_test_headers(out_of_resources_test)
endif()

if(AGENTDESK_SANITIZE MATCHES "thread")
  add_executable(planted_race fault/planted_race.cc)
  target_link_libraries(planted_race PRIVATE agentdesk_events)
  add_test(NAME planted_race_is_found COMMAND planted_race)
  set_tests_properties(planted_race_is_found PROPERTIES
    PASS_REGULAR_EXPRESSION "ThreadSanitizer: data race" LABELS fault TIMEOUT 60)
endif()
