# cmake -DINPUT=file -DOUTPUT=file.cc -DNAME=ns::Function -P embed.cmake
# Writes a .cc that holds a file's bytes behind `absl::string_view NAME()`.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(................................................................................)"
       "\\1\n" bytes "${bytes}")
string(REGEX MATCH "^(.*)::([^:]*)$" whole ${NAME})
file(WRITE ${OUTPUT} "#include \"absl/strings/string_view.h\"

namespace ${CMAKE_MATCH_1} {

absl::string_view ${CMAKE_MATCH_2}();

absl::string_view ${CMAKE_MATCH_2}() {
  static constexpr unsigned char kBytes[] = {
${bytes}
  };
  return absl::string_view(reinterpret_cast<const char*>(kBytes), sizeof(kBytes));
}

}  // namespace ${CMAKE_MATCH_1}
")
