# SPDX-License-Identifier: MIT
# What including the library costs: the time to compile a file of one line, `#include <header>`, as multiples of the same
# with Eigen's Tensor header.
#   cmake -DROOT=<project> [-DCXX=g++] [-DEIGEN=<directory>] -P check.cmake
# User time of the processor, each header in turns with Eigen's; the median of the rounds' ratios. Fails if one is above
# its limit by more than the slack.
cmake_minimum_required(VERSION 3.25)

# header, limit, aim. The limit is what is reached and must not get worse; the aim is what it ought to be.
set(limits
  norm/layer_norm.hpp 1.3 1.2
  linear/linear.hpp 1.3 1.2
  position/rotary.hpp 1.3 1.2
  attention.hpp 1.4 1.2
  block.hpp 1.4 1.2
  train.hpp 1.3 1.2
  io.hpp 1.3 1.2
  eigenformer.hpp 2.2 1.6)
set(slack 15)  # per cent
set(rounds 3)  # and as many again before a failure is believed

if(NOT CXX)
  set(CXX c++)
endif()
if(NOT EIGEN)
  find_path(EIGEN unsupported/Eigen/CXX11/Tensor PATHS /usr/local/include /usr/include PATH_SUFFIXES eigen3 REQUIRED)
endif()
execute_process(COMMAND mktemp -d OUTPUT_VARIABLE scratch OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)

# Milliseconds of user time.
function(measure header result)
  file(WRITE "${scratch}/one_line.cpp" "#include <${header}>\n")
  execute_process(COMMAND bash -c "TIMEFORMAT=%3U; time \"$@\"" bash
      "${CXX}" -std=c++20 -O2 "-I${ROOT}/include" -isystem "${EIGEN}" -c one_line.cpp -o one_line.o
    WORKING_DIRECTORY "${scratch}" OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
  if(NOT status EQUAL 0 OR NOT output MATCHES "([0-9]+)[.,]([0-9][0-9][0-9])[ \n]*$")
    file(REMOVE_RECURSE "${scratch}")
    message(FATAL_ERROR "${header} does not compile:\n${output}")
  endif()
  math(EXPR milliseconds "${CMAKE_MATCH_1} * 1000 + 1${CMAKE_MATCH_2} - 1000")
  set(${result} ${milliseconds} PARENT_SCOPE)
endfunction()

# Hundredths as a decimal, and back.
function(decimal hundredths result)
  math(EXPR whole "${hundredths} / 100")
  math(EXPR rest "100 + ${hundredths} % 100")
  string(SUBSTRING ${rest} 1 2 rest)
  set(${result} "${whole}.${rest}" PARENT_SCOPE)
endfunction()
function(hundredths decimal result)
  string(REGEX MATCH "^([0-9]+)\\.([0-9])$" matched "${decimal}")
  math(EXPR value "${CMAKE_MATCH_1} * 100 + ${CMAKE_MATCH_2} * 10")
  set(${result} ${value} PARENT_SCOPE)
endfunction()

# In every round Eigen's header and then each of ours, so that a slower minute makes all slower.
macro(measure_rounds)
  foreach(round RANGE 1 ${rounds})
    measure(unsupported/Eigen/CXX11/Tensor base)
    list(APPEND base_times ${base})
    set(list ${limits})
    while(list)
      list(POP_FRONT list header limit aim)
      measure(eigenformer/${header} time)
      math(EXPR ratio "(100 * ${time} + ${base} / 2) / ${base}")
      list(APPEND ratios_${header} ${ratio})
    endwhile()
  endforeach()
endmacro()

function(median values result)
  list(SORT values COMPARE NATURAL)
  list(LENGTH values count)
  math(EXPR middle "${count} / 2")
  list(GET values ${middle} value)
  set(${result} ${value} PARENT_SCOPE)
endfunction()

function(report faults_result)
  set(faults "")
  set(table "")
  set(list ${limits})
  while(list)
    list(POP_FRONT list header limit aim)
    median("${ratios_${header}}" ratio)
    hundredths(${limit} limit_hundredths)
    math(EXPR most "${limit_hundredths} * (100 + ${slack}) / 100")
    decimal(${ratio} shown)
    string(SUBSTRING "eigenformer/${header}                              " 0 36 name)
    string(APPEND table "${name}${shown}   limit ${limit}   aim ${aim}\n")
    if(ratio GREATER most)
      list(APPEND faults "${header}")
    endif()
  endwhile()
  median("${base_times}" base)
  list(LENGTH base_times taken)
  message("Compiling one line, times Eigen's Tensor header (${base} ms), medians of ${taken}:\n${table}")
  set(${faults_result} "${faults}" PARENT_SCOPE)
endfunction()

measure_rounds()
report(faults)
if(faults)
  message("Once more, before it is believed:")
  measure_rounds()
  report(faults)
endif()
file(REMOVE_RECURSE "${scratch}")
if(faults)
  list(JOIN faults ", " faults)
  message(FATAL_ERROR "Slower to compile than its limit and ${slack}% allow: ${faults}")
endif()
