add_executable(ws_echo support/ws_echo.cc)
target_link_libraries(ws_echo PRIVATE agentdesk_transport absl::flags)
