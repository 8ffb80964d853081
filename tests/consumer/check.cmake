# SPDX-License-Identifier: MIT
# Builds the project in this folder as a user would, in one of three ways, and runs it:
#   cmake -DHOW=add_subdirectory|find_package|plain "-DCOMPILE=<compiler;flags>" -DCXX=<compiler> "-DFLAGS=<flags>"
#         -DROOT=<project> -DBUILD=<the project's build folder> -DSCRATCH=<folder> -P check.cmake
cmake_minimum_required(VERSION 3.25)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\n${text}")
  endif()
  set(output "${text}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE "${SCRATCH}")
file(MAKE_DIRECTORY "${SCRATCH}")
if(HOW STREQUAL "plain")
  run(${COMPILE} "${CMAKE_CURRENT_LIST_DIR}/main.cpp" -o "${SCRATCH}/consumer")
else()
  run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${SCRATCH}/prefix")
  run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}" -B "${SCRATCH}" -G Ninja -DHOW=${HOW}
    "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_CXX_FLAGS=${FLAGS}" "-DEIGENFORMER_SOURCE=${ROOT}"
    "-DCMAKE_PREFIX_PATH=${SCRATCH}/prefix")
  run("${CMAKE_COMMAND}" --build "${SCRATCH}")
endif()
run("${SCRATCH}/consumer")
if(NOT output MATCHES "^eigenformer [0-9]+\\.[0-9]+\\.[0-9]+ on [a-z0-9]+: \\[2, 3, 5\\]\n$")
  message(FATAL_ERROR "The consumer printed\n${output}")
endif()
