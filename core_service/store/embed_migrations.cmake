# Writes OUTPUT: each file of the list SCHEMA as a C++ raw string literal, for an array.
set(text)
foreach(file IN LISTS SCHEMA)
  file(READ ${file} sql)
  string(APPEND text "R\"sql(${sql})sql\",\n")
endforeach()
file(WRITE ${OUTPUT} "${text}")
