# SPDX-License-Identifier: MIT
# Runs a sample of the README and compares what it prints with what the README says, apart from space at line ends:
#   cmake -DPROGRAM=<program> -DEXPECTED=<file, empty if the README shows no output> -P run_sample.cmake
cmake_minimum_required(VERSION 3.25)

function(normalise text result)
  string(REGEX REPLACE "[ \t\r]+\n" "\n" text "${text}\n")
  string(REGEX REPLACE "\n+$" "\n" text "${text}")
  set(${result} "${text}" PARENT_SCOPE)
endfunction()

execute_process(COMMAND "${PROGRAM}" RESULT_VARIABLE status OUTPUT_VARIABLE printed ERROR_VARIABLE errors)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "The sample ended with ${status}\n${printed}${errors}")
endif()
file(READ "${EXPECTED}" expected)
if(expected STREQUAL "")
  return()
endif()
normalise("${expected}" expected)
normalise("${printed}" printed)
if(NOT printed STREQUAL expected)
  message(FATAL_ERROR "The README says\n${expected}\nbut the sample prints\n${printed}")
endif()
