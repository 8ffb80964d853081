# SPDX-License-Identifier: MIT
# Every block of the library has a row in the conformance table:
#   cmake -DROOT=<project> -P check_completeness.cmake
cmake_minimum_required(VERSION 3.25)

# A block derives from core's Block, or from Layer, which does; the table names it as a word, as in row<LayerNorm<float>>("LayerNorm").
set(block_class "public (Block|Layer)<([A-Za-z0-9_]+)")
set(table "${ROOT}/tests/conformance/table.hpp")

file(GLOB_RECURSE headers "${ROOT}/include/eigenformer/*.hpp")
set(blocks "")
foreach(header IN LISTS headers)
  if(header MATCHES "/core/")
    continue()  # the base itself
  endif()
  file(STRINGS "${header}" lines REGEX "${block_class}")
  foreach(line IN LISTS lines)
    string(REGEX MATCH "${block_class}" match "${line}")
    if(NOT CMAKE_MATCH_2 STREQUAL "Placement")  # Layer itself
      list(APPEND blocks "${CMAKE_MATCH_2}")
    endif()
  endforeach()
endforeach()

set(rows "")
if(EXISTS "${table}")
  file(READ "${table}" rows)
endif()
set(missing "")
foreach(block IN LISTS blocks)
  if(NOT rows MATCHES "(^|[^A-Za-z0-9_])${block}([^A-Za-z0-9_]|$)")
    list(APPEND missing ${block})
  endif()
endforeach()
list(LENGTH blocks count)
if(missing)
  list(JOIN missing ", " names)
  message(FATAL_ERROR "Blocks without a row in tests/conformance/table.hpp: ${names}")
endif()
message(NOTICE "all ${count} blocks have a row in the conformance table")
