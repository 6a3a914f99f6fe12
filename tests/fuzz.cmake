# What meets the network, as fuzzers of libFuzzer's form, each with its seeds in fuzz/corpus/NAME. Built
# with clang and the address sanitizer they are libFuzzer's, which searches for 10 s, the same way each
# time, or for AGENTDESK_FUZZ_SECONDS, by chance with AGENTDESK_FUZZ_SEED=0; elsewhere fuzz/replay.cc runs
# the seeds and small changes of them.
function(agentdesk_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} fuzz/${name}.cc ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE agentdesk_options ${ARG_DEPS})
  set(seeds ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name})
  if(AGENTDESK_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    # What is found stays in the build tree, and so does what made it fail.
    set(found ${CMAKE_CURRENT_BINARY_DIR}/fuzz/${name})
    file(MAKE_DIRECTORY ${found})
    add_test(NAME ${name} COMMAND sh -c
      "exec \"$0\" -max_total_time=\"\${AGENTDESK_FUZZ_SECONDS:-10}\" -seed=\"\${AGENTDESK_FUZZ_SEED:-1}\" \
-timeout=60 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 -artifact_prefix=\"$1/\" \"$1\" \"$2\""
      $<TARGET_FILE:${name}> ${found} ${seeds})
  else()
    target_sources(${name} PRIVATE fuzz/replay.cc)
    add_test(NAME ${name} COMMAND ${name} ${seeds})
  endif()
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 7200)
endfunction()

agentdesk_fuzzer(token_fuzzer SOURCES support/fake_clock.cc DEPS agentdesk_tokens OpenSSL::Crypto)
agentdesk_fuzzer(client_message_fuzzer DEPS agentdesk_client_protocol)
agentdesk_fuzzer(http_request_fuzzer DEPS agentdesk_client_protocol agentdesk_request_rules)
agentdesk_fuzzer(call_fuzzer
  SOURCES support/fake_clock.cc support/temp_dir.cc DEPS agentdesk_certificates agentdesk_desk agentdesk_store)
