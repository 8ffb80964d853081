# SPDX-License-Identifier: MIT
# Units built with and without AVX2 live in one program, whichever the linker sees first, and an object of the library
# cannot pass from one to the other:  cmake "-DCOMPILE=<compiler;flags>" -DSCRATCH=<folder> -P check_mixed_flags.cmake
cmake_minimum_required(VERSION 3.25)

function(run expected_status)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if((expected_status EQUAL 0) AND NOT (status EQUAL 0))
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${status}:\n${text}")
  endif()
  set(status "${status}" PARENT_SCOPE)
  set(text "${text}" PARENT_SCOPE)
endfunction()

set(unit "${CMAKE_CURRENT_LIST_DIR}/unit.cpp")
file(MAKE_DIRECTORY "${SCRATCH}")
set(wide "${SCRATCH}/wide.o")
set(plain "${SCRATCH}/plain.o")
# Without optimisation every inline function is one symbol that the units share; with it, some are and some are not.
foreach(level -O0 -O2)
  run(0 ${COMPILE} ${level} -mavx2 -mfma -DUNIT=wide -DIS_WIDE -c "${unit}" -o "${wide}")
  run(0 ${COMPILE} ${level} -DUNIT=plain -c "${unit}" -o "${plain}")
  foreach(order "${plain};${wide}" "${wide};${plain}")
    run(0 ${COMPILE} ${order} -o "${SCRATCH}/mixed")
    run(0 "${SCRATCH}/mixed")
    if(NOT text MATCHES "^([^\n]+)\n([^\n]+)\n" OR CMAKE_MATCH_1 STREQUAL CMAKE_MATCH_2)
      message(FATAL_ERROR "Both units call the type by the same name:\n${text}")
    endif()
  endforeach()
endforeach()

run(0 ${COMPILE} -O0 -DUNIT=plain -DPASS_OBJECTS -c "${unit}" -o "${SCRATCH}/plain-DPASS_OBJECTS.o")
run(any ${COMPILE} "${SCRATCH}/plain-DPASS_OBJECTS.o" "${wide}" -o "${SCRATCH}/passing")
if(status EQUAL 0 OR NOT text MATCHES "undefined reference to [^\n]*takes_error")
  message(FATAL_ERROR "Passing an object between the units should not link, but the linker ended with ${status}:\n${text}")
endif()
