# SPDX-License-Identifier: MIT
# The link to Compiler Explorer holds the README's first sample with the given address in place of our header.
#   cmake -DROOT=<project> -DSCRATCH=<folder> -P check_compiler_explorer_link.cmake
set(address "https://example.org/a-b/eigenformer.hpp")
set(script "${ROOT}/cmake/write_compiler_explorer_link.cmake")
file(MAKE_DIRECTORY "${SCRATCH}")

execute_process(COMMAND "${CMAKE_COMMAND}" "-DADDRESS=${address}" "-DOUTPUT=${SCRATCH}/link" -P "${script}"
  COMMAND_ERROR_IS_FATAL ANY)
file(READ "${SCRATCH}/link" link)
if(NOT link MATCHES "^https://godbolt\\.org/clientstate/([A-Za-z0-9_-]+)\n$")
  message(FATAL_ERROR "not a link with a state: ${link}")
endif()

# Decoded by another program, which wants the plain alphabet and whole groups of four.
string(REPLACE "-" "+" state "${CMAKE_MATCH_1}")
string(REPLACE "_" "/" state "${state}")
string(LENGTH "${state}" length)
math(EXPR missing "(4 - ${length} % 4) % 4")
string(REPEAT "=" ${missing} padding)
file(WRITE "${SCRATCH}/state" "${state}${padding}")
execute_process(COMMAND base64 --decode "${SCRATCH}/state" OUTPUT_VARIABLE json COMMAND_ERROR_IS_FATAL ANY)
string(JSON source GET "${json}" sessions 0 source)
string(JSON compiler GET "${json}" sessions 0 executors 0 compiler id)
string(JSON library GET "${json}" sessions 0 executors 0 compiler libs 0 name)

file(READ "${ROOT}/README.md" readme)
string(FIND "${readme}" "```cpp\n" start)
math(EXPR start "${start} + 7")
string(SUBSTRING "${readme}" ${start} -1 sample)
string(FIND "${sample}" "```" end)
string(SUBSTRING "${sample}" 0 ${end} sample)
string(REPLACE "<eigenformer/attention.hpp>" "<${address}>" sample "${sample}")
if(NOT source STREQUAL sample OR NOT sample MATCHES "${address}")
  message(FATAL_ERROR "the link holds another program:\n${source}\nThe README's first sample is:\n${sample}")
endif()
if(NOT compiler MATCHES "^g[0-9]+$" OR NOT library STREQUAL "eigen")
  message(FATAL_ERROR "expected g++ with Eigen, got ${compiler} with ${library}")
endif()

foreach(wrong "" "eigenformer.hpp" "https://example.org/a\"b")
  execute_process(COMMAND "${CMAKE_COMMAND}" "-DADDRESS=${wrong}" -P "${script}" RESULT_VARIABLE result ERROR_VARIABLE error)
  if(result EQUAL 0 OR NOT error MATCHES "expected -DADDRESS")
    message(FATAL_ERROR "an address '${wrong}' is not refused: ${error}")
  endif()
endforeach()
