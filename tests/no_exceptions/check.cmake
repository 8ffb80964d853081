# SPDX-License-Identifier: MIT
# The library in a program without exceptions and run-time type information: it compiles with all warnings, reads files by
# the functions that return results, and ends in an orderly way where it would throw. A unit with exceptions lives in the
# same program.
#   cmake "-DCOMPILE=<compiler;flags>" -DSCRATCH=<folder> -P check.cmake
cmake_minimum_required(VERSION 3.25)

function(run expected)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT status EQUAL expected)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${status}, not ${expected}:\n${text}")
  endif()
  set(text "${text}" PARENT_SCOPE)
endfunction()

set(here "${CMAKE_CURRENT_LIST_DIR}")
file(REMOVE_RECURSE "${SCRATCH}")
file(MAKE_DIRECTORY "${SCRATCH}")
set(warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
run(0 ${COMPILE} -O1 ${warnings} -fno-exceptions -fno-rtti -c "${here}/load.cpp" -o "${SCRATCH}/load.o")
run(0 ${COMPILE} -O1 ${warnings} -c "${here}/throwing_unit.cpp" -o "${SCRATCH}/throwing_unit.o")
foreach(order "load.o;throwing_unit.o" "throwing_unit.o;load.o")
  list(TRANSFORM order PREPEND "${SCRATCH}/")
  run(0 ${COMPILE} ${order} -pthread -o "${SCRATCH}/load")
  file(REMOVE "${SCRATCH}/model.safetensors")
  run(0 "${SCRATCH}/load" "${SCRATCH}")
  run(42 "${SCRATCH}/load" "${SCRATCH}" raise)
  if(NOT text MATCHES "^told: safetensors: .*/absent: cannot open: ")
    message(FATAL_ERROR "The handler was not told what was wrong:\n${text}")
  endif()
endforeach()
