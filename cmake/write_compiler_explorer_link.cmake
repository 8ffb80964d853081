# SPDX-License-Identifier: MIT
# Prints a link that opens the README's first sample in Compiler Explorer, compiled and run by g++ 12 with Eigen 3.4:
#   cmake -DADDRESS=<where eigenformer.hpp can be downloaded> [-DOUTPUT=<file>] -P cmake/write_compiler_explorer_link.cmake
# Compiler Explorer includes files by their address; cmake/write_single_header.cmake writes the one to publish there.
# The state in the link is that of its API, https://github.com/compiler-explorer/compiler-explorer/blob/main/docs/API.md.
cmake_minimum_required(VERSION 3.25)

if(NOT ADDRESS MATCHES "^https?://[^ <>\"]+$")
  message(FATAL_ERROR "expected -DADDRESS=https://..., the address of the single header, got '${ADDRESS}'")
endif()

# base64 with the alphabet for addresses (RFC 4648, section 5): three bytes become four letters.
function(encode_base64url text result)
  set(alphabet "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
  string(HEX "${text}" hex)
  string(LENGTH "${hex}" length)
  set(letters "")
  foreach(start RANGE 0 ${length} 6)
    string(SUBSTRING "${hex}" ${start} 6 group)
    string(LENGTH "${group}" digits)
    if(digits EQUAL 0)
      break()
    endif()
    string(SUBSTRING "${group}0000" 0 6 group)
    math(EXPR last "(${digits} * 4 - 1) / 6")  # a rest of one or two bytes takes two or three letters
    foreach(i RANGE ${last})
      math(EXPR index "(0x${group} >> (18 - 6 * ${i})) & 63")
      string(SUBSTRING "${alphabet}" ${index} 1 letter)
      string(APPEND letters "${letter}")
    endforeach()
  endforeach()
  set(${result} "${letters}" PARENT_SCOPE)
endfunction()

file(READ "${CMAKE_CURRENT_LIST_DIR}/../README.md" readme)
if(NOT readme MATCHES "\n```cpp\n(#include <eigenformer/[a-z_]+\\.hpp>\n[^`]*)```")
  message(FATAL_ERROR "README.md: expected a first sample that begins with an #include of eigenformer")
endif()
set(source "${CMAKE_MATCH_1}")
string(REGEX REPLACE "^#include <[^>]*>" "#include <${ADDRESS}>" source "${source}")
string(REPLACE "\\" "\\\\" source "${source}")
string(REPLACE "\"" "\\\"" source "${source}")
string(REPLACE "\n" "\\n" source "${source}")

set(compiler [[{"id": "g122", "libs": [{"name": "eigen", "ver": "340"}], "options": "-std=c++20 -O2 -pthread"}]])
encode_base64url("{\"sessions\": [{\"id\": 1, \"language\": \"c++\", \"source\": \"${source}\", \"compilers\": [], \
\"executors\": [{\"compiler\": ${compiler}}]}]}" state)
set(link "https://godbolt.org/clientstate/${state}")
if(OUTPUT)
  file(WRITE "${OUTPUT}" "${link}\n")
else()
  message(NOTICE "${link}")
endif()
