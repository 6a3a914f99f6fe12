# What meets the network, as fuzzers of libFuzzer's form. Each is a test that runs its seeds
# (fuzz/corpus/NAME), and what small changes make of them, in every build: also under the address sanitizer.
function(agentdesk_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} fuzz/${name}.cc fuzz/replay.cc ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE agentdesk_options ${ARG_DEPS})
  add_test(NAME ${name} COMMAND ${name} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 300)
endfunction()

agentdesk_fuzzer(token_fuzzer SOURCES support/fake_clock.cc DEPS agentdesk_tokens OpenSSL::Crypto)
agentdesk_fuzzer(client_message_fuzzer DEPS agentdesk_client_protocol)
agentdesk_fuzzer(http_request_fuzzer
  SOURCES ${CMAKE_SOURCE_DIR}/ws_gateway/origin.cc DEPS agentdesk_client_protocol)
agentdesk_fuzzer(call_fuzzer
  SOURCES support/fake_clock.cc support/temp_dir.cc DEPS agentdesk_desk agentdesk_store)
