# The inner steps by themselves: build/release/bin/micro_benchmark. As a test it only has to run.
find_package(benchmark REQUIRED)
add_executable(micro_benchmark
  bench/metrics_benchmark.cc bench/micro_benchmark.cc bench/store_benchmark.cc
  support/fake_clock.cc unit/gateway/gateway_fixture.cc)
target_link_libraries(micro_benchmark PRIVATE
  agentdesk_desk agentdesk_events agentdesk_hub agentdesk_store_test_support benchmark::benchmark GTest::gtest)
target_compile_options(micro_benchmark PRIVATE -O2)
add_test(NAME micro_benchmark COMMAND micro_benchmark --benchmark_min_time=0.001)
set_tests_properties(micro_benchmark PROPERTIES LABELS unit TIMEOUT 60)
