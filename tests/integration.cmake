# The real programs end to end, driven from Python: each file of tests/integration and tests/fault is
# one test of ctest.
# Debian's own interpreter, since only that one has Debian's packages.
set(AGENTDESK_PYTHON /usr/bin/python3 CACHE FILEPATH "The Python that has grpc and websockets")
find_program(GRPC_PYTHON_PLUGIN grpc_python_plugin REQUIRED)
set(stubs ${CMAKE_BINARY_DIR}/python)
set(foreign ${CMAKE_BINARY_DIR}/python-protos)
file(MAKE_DIRECTORY ${stubs})

# The public protos under names of our own: a Python package `grpc` beside the real one would be
# hidden by it, and both reflections are called reflection.proto.
set(debian /usr/share/grpc-proto/grpc)
configure_file(${debian}/health/v1/health.proto ${foreign}/health.proto COPYONLY)
configure_file(${debian}/reflection/v1/reflection.proto ${foreign}/reflection_v1.proto COPYONLY)
configure_file(${debian}/reflection/v1alpha/reflection.proto ${foreign}/reflection_v1alpha.proto
               COPYONLY)
file(GLOB_RECURSE protos CONFIGURE_DEPENDS
     ${CMAKE_SOURCE_DIR}/proto/agentdesk/v1/*.proto ${CMAKE_SOURCE_DIR}/proto/google/rpc/*.proto)
set(protoc protobuf::protoc --python_out=${stubs} --grpc_python_out=${stubs}
    --plugin=protoc-gen-grpc_python=${GRPC_PYTHON_PLUGIN})
add_custom_command(
  OUTPUT ${stubs}/stamp
  COMMAND ${protoc} -I ${CMAKE_SOURCE_DIR}/proto ${protos}
  COMMAND ${protoc} -I ${foreign} health.proto reflection_v1.proto reflection_v1alpha.proto
  COMMAND ${CMAKE_COMMAND} -E touch ${stubs}/stamp
  DEPENDS ${protos} VERBATIM)
add_custom_target(agentdesk_python_stubs ALL DEPENDS ${stubs}/stamp)

# agentdesk_python_test(PATH TIMEOUT LABELS...). Those with the greatest TIMEOUT begin first, so that
# none is left to run by itself at the end. `release_only` among the labels: not run with the
# address sanitizer, which is too slow for it. `alone`: it measures, so nothing runs beside it.
function(agentdesk_python_test path timeout)
  get_filename_component(name ${path} NAME_WE)
  add_test(NAME ${name} COMMAND ${AGENTDESK_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/${path}.py)
  set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout} COST ${timeout} ENVIRONMENT
    "AGENTDESK_BIN=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};AGENTDESK_PYTHON=${stubs};PYTHONPATH=${CMAKE_CURRENT_SOURCE_DIR}/support")
  if("alone" IN_LIST ARGN)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
    list(REMOVE_ITEM ARGN alone)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARGN}")
endfunction()

agentdesk_python_test(support/oracle_test 60 unit)
agentdesk_python_test(integration/answers_test 300 integration release_only)
agentdesk_python_test(integration/api_documents_test 300 integration)
agentdesk_python_test(integration/audit_test 300 integration)
agentdesk_python_test(integration/authentication_test 300 integration)
agentdesk_python_test(integration/bad_input_test 300 integration)
agentdesk_python_test(integration/bench_test 300 integration release_only)
agentdesk_python_test(integration/event_stream_test 300 integration release_only)
agentdesk_python_test(integration/every_call_test 300 integration)
agentdesk_python_test(integration/fold_test 300 integration)
agentdesk_python_test(integration/command_line_test 300 integration)
agentdesk_python_test(integration/identity_limits_test 120 integration)
agentdesk_python_test(integration/desk_swap_test 120 integration)
agentdesk_python_test(integration/flags_test 120 integration)
agentdesk_python_test(integration/backup_test 600 integration release_only)
agentdesk_python_test(integration/check_test 300 integration release_only)
agentdesk_python_test(integration/compaction_test 300 integration)
agentdesk_python_test(integration/foreign_clients_test 300 integration)
agentdesk_python_test(integration/full_protocol_test 300 integration)
agentdesk_python_test(integration/gateway_authentication_test 300 integration)
agentdesk_python_test(integration/gateway_tenant_test 300 integration)
agentdesk_python_test(integration/gateway_tls_test 600 integration)
agentdesk_python_test(integration/http_test 300 integration)
agentdesk_python_test(integration/idempotence_test 300 integration)
agentdesk_python_test(integration/key_url_test 600 integration)
agentdesk_python_test(integration/lease_test 300 integration release_only)
agentdesk_python_test(integration/metrics_test 300 integration release_only)
agentdesk_python_test(integration/old_node_test 600 integration release_only)
agentdesk_python_test(integration/plain_protocol_test 300 integration)
agentdesk_python_test(integration/rest_test 120 integration release_only)
agentdesk_python_test(integration/retention_test 300 integration release_only)
agentdesk_python_test(integration/run_script_test 600 integration alone release_only)
agentdesk_python_test(integration/service_test 120 integration)
agentdesk_python_test(integration/tenant_test 300 integration)
agentdesk_python_test(integration/ticket_life_test 300 integration)
agentdesk_python_test(integration/tls_test 300 integration)
agentdesk_python_test(integration/token_cli_test 120 integration)
agentdesk_python_test(integration/upgrade_test 300 integration)
agentdesk_python_test(integration/trace_test 300 integration)
agentdesk_python_test(integration/worker_test 300 integration)
agentdesk_python_test(integration/limits_document_test 60 integration)
agentdesk_python_test(integration/load_limits_test 120 integration)
agentdesk_python_test(integration/webhook_signature_test 120 integration)
agentdesk_python_test(fault/clock_jump_test 120 fault release_only)
agentdesk_python_test(fault/core_kill_test 600 fault release_only)
agentdesk_python_test(fault/disk_failure_test 120 fault release_only)
agentdesk_python_test(fault/drain_test 120 fault release_only)
agentdesk_python_test(fault/exhaustion_test 300 fault alone release_only)
agentdesk_python_test(fault/flood_test 300 fault alone release_only)
agentdesk_python_test(fault/gateway_stop_test 300 fault alone release_only)
agentdesk_python_test(fault/link_fault_test 600 fault release_only)
agentdesk_python_test(fault/oversize_test 300 fault alone release_only)
agentdesk_python_test(fault/memory_test 300 fault release_only)
agentdesk_python_test(fault/reconnect_storm_test 300 fault alone release_only)
agentdesk_python_test(fault/rolling_restart_test 300 fault alone release_only)
agentdesk_python_test(fault/slow_reader_test 300 fault alone release_only)
agentdesk_python_test(fault/subscribers_test 600 fault release_only)
agentdesk_python_test(fault/webhooks_test 300 fault release_only)
