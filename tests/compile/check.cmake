# SPDX-License-Identifier: MIT
# A contract of the types: the file must not compile, for the stated reason, and must compile with -DPOSITIVE, which
# shows that nothing else in it is wrong. Its first line reads  // expect-error: <CMake regular expression>
# which stands in the first lines of what the compiler says, where a user looks; `.` matches ends of lines too.
#   cmake "-DCOMPILE=<compiler;flags>" -DSOURCE=<file> -DHEADERS=<file> -P check.cmake
# HEADERS, all of them compiled once, is made by  cmake "-DCOMPILE=<compiler;flags>" -DHEADERS=<file> -P check.cmake
cmake_minimum_required(VERSION 3.25)
set(lines_read 40)

if(NOT SOURCE)
  file(WRITE "${HEADERS}" "#include <eigenformer/eigenformer.hpp>\n")
  execute_process(COMMAND ${COMPILE} -x c++-header "${HEADERS}" -o "${HEADERS}.gch" COMMAND_ERROR_IS_FATAL ANY)
  return()
endif()
list(APPEND COMPILE -include "${HEADERS}")

file(STRINGS "${SOURCE}" first LIMIT_COUNT 1)
if(NOT first MATCHES "^// expect-error: (.+)$")
  message(FATAL_ERROR "${SOURCE}: the first line must read `// expect-error: <regular expression>`")
endif()
set(expected "${CMAKE_MATCH_1}")
set(ENV{LC_ALL} C)  # messages in English, with plain quotation marks

execute_process(COMMAND ${COMPILE} -fsyntax-only -DPOSITIVE "${SOURCE}" RESULT_VARIABLE status ERROR_VARIABLE text)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${SOURCE} must compile with -DPOSITIVE, but:\n${text}")
endif()
execute_process(COMMAND ${COMPILE} -fsyntax-only "${SOURCE}" RESULT_VARIABLE status ERROR_VARIABLE text)
if(status EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles, but must not: expected an error matching `${expected}`")
endif()
string(REPEAT "[^\n]*\n" ${lines_read} first_lines)
if(text MATCHES "^${first_lines}")
  set(text "${CMAKE_MATCH_0}")
endif()
if(NOT text MATCHES "${expected}")
  message(FATAL_ERROR "${SOURCE} fails, but not for the reason `${expected}` in the first lines:\n${text}")
endif()
