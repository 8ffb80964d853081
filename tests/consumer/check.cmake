# SPDX-License-Identifier: MIT
# Builds the project in this folder as a user would, from an empty directory, and runs it:
#   cmake -DHOW=<way> "-DCOMPILE=<compiler;flags>" -DCXX=<compiler> "-DFLAGS=<flags>" -DROOT=<project>
#         -DBUILD=<the project's build folder> -DSCRATCH=<folder> -P check.cmake
# add_subdirectory   from the sources as they lie here
# fetch_content      from an archive of the sources
# find_package       after an installation whose folder was moved afterwards
# destdir            after an installation for another root (DESTDIR), which is then used where it was put
# pkg_config         after an installation whose folder was moved, without CMake
# meson              as a subproject of Meson
# plain              the compiler, -I and nothing else
# single_header      the compiler and one generated file
# A tool that is not there ends the script with a line that begins with SKIPPED, by which CTest knows.
cmake_minimum_required(VERSION 3.25)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\n${text}")
  endif()
  set(output "${text}" PARENT_SCOPE)
endfunction()

# What a user gets of the project: nothing that was built, no history.
function(copy_sources to)
  file(MAKE_DIRECTORY "${to}")
  file(GLOB entries RELATIVE "${ROOT}" "${ROOT}/*")
  list(FILTER entries EXCLUDE REGEX "^(build|\\.)")
  foreach(entry IN LISTS entries)
    file(COPY "${ROOT}/${entry}" DESTINATION "${to}")
  endforeach()
endfunction()

# A macro, so that it returns from the script.
macro(need variable)
  find_program(${variable} NAMES ${ARGN})
  if(NOT ${variable})
    message(NOTICE "SKIPPED: none of these is here: ${ARGN}")
    return()
  endif()
endmacro()

# Installs into one folder and moves it to another, ${SCRATCH}/moved.
function(install_and_move)
  run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${SCRATCH}/prefix")
  file(RENAME "${SCRATCH}/prefix" "${SCRATCH}/moved")
endfunction()

function(build_with_cmake how source prefix)
  run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}" -B "${SCRATCH}/build" -G Ninja -DHOW=${how}
    "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_CXX_FLAGS=${FLAGS}" "-DEIGENFORMER_SOURCE=${source}"
    "-DCMAKE_PREFIX_PATH=${prefix}" -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF
    "-DCMAKE_INSTALL_PREFIX=${SCRATCH}/consumers_prefix")
  run("${CMAKE_COMMAND}" --build "${SCRATCH}/build")
  if(how STREQUAL "find_package")
    return()
  endif()
  # A library that is part of a program's build does not install itself with the program.
  run("${CMAKE_COMMAND}" --install "${SCRATCH}/build")
  file(GLOB_RECURSE installed RELATIVE "${SCRATCH}/consumers_prefix" "${SCRATCH}/consumers_prefix/*")
  if(NOT installed STREQUAL "share/consumer/main.cpp")
    message(FATAL_ERROR "The consumer's installation holds ${installed}")
  endif()
endfunction()

file(REMOVE_RECURSE "${SCRATCH}")
file(MAKE_DIRECTORY "${SCRATCH}")
set(program "${SCRATCH}/build/consumer")
set(main "${CMAKE_CURRENT_LIST_DIR}/main.cpp")
if(HOW STREQUAL "add_subdirectory")
  build_with_cmake(add_subdirectory "${ROOT}" "")
elseif(HOW STREQUAL "fetch_content")
  copy_sources("${SCRATCH}/eigenformer-main")
  run("${CMAKE_COMMAND}" -E chdir "${SCRATCH}" "${CMAKE_COMMAND}" -E tar cz eigenformer.tar.gz eigenformer-main)
  file(REMOVE_RECURSE "${SCRATCH}/eigenformer-main")
  build_with_cmake(fetch_content "${SCRATCH}/eigenformer.tar.gz" "")
elseif(HOW STREQUAL "find_package")
  install_and_move()
  build_with_cmake(find_package "" "${SCRATCH}/moved")
elseif(HOW STREQUAL "destdir")
  run("${CMAKE_COMMAND}" -E env "DESTDIR=${SCRATCH}/stage" "${CMAKE_COMMAND}" --install "${BUILD}" --prefix /opt/numbers)
  if(EXISTS /opt/numbers)
    message(FATAL_ERROR "DESTDIR was not respected: /opt/numbers exists")
  endif()
  build_with_cmake(find_package "" "${SCRATCH}/stage/opt/numbers")
elseif(HOW STREQUAL "pkg_config")
  need(PKG_CONFIG pkg-config pkgconf)
  install_and_move()
  set(ENV{PKG_CONFIG_PATH} "${SCRATCH}/moved/share/pkgconfig")
  execute_process(COMMAND "${PKG_CONFIG}" --exists eigen3 RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(NOTICE "SKIPPED: this Eigen has no eigen3.pc")
    return()
  endif()
  run("${PKG_CONFIG}" --exists --print-errors "eigenformer >= 0.1")
  run("${PKG_CONFIG}" --cflags --libs eigenformer)
  separate_arguments(from_pkg_config UNIX_COMMAND "${output}")
  separate_arguments(flags UNIX_COMMAND "${FLAGS}")
  file(MAKE_DIRECTORY "${SCRATCH}/build")
  run("${CXX}" -std=c++20 ${flags} "${main}" -o "${program}" ${from_pkg_config})
elseif(HOW STREQUAL "meson")
  need(MESON meson)
  need(PKG_CONFIG pkg-config pkgconf)  # by which Meson finds Eigen
  file(COPY "${CMAKE_CURRENT_LIST_DIR}/meson.build" "${main}" DESTINATION "${SCRATCH}/project")
  copy_sources("${SCRATCH}/project/subprojects/eigenformer")
  set(ENV{CXX} "${CXX}")
  set(ENV{CXXFLAGS} "${FLAGS}")
  run("${MESON}" setup "${SCRATCH}/build" "${SCRATCH}/project")
  run("${MESON}" compile -C "${SCRATCH}/build")
elseif(HOW STREQUAL "plain")
  file(MAKE_DIRECTORY "${SCRATCH}/build")
  run(${COMPILE} "${main}" -o "${program}" -pthread)
elseif(HOW STREQUAL "single_header")
  run("${CMAKE_COMMAND}" "-DOUTPUT=${SCRATCH}/eigenformer.hpp" -P "${ROOT}/cmake/write_single_header.cmake")
  file(READ "${main}" text)
  string(REPLACE "#include <eigenformer/eigenformer.hpp>" "#include \"eigenformer.hpp\"" text "${text}")
  file(WRITE "${SCRATCH}/main.cpp" "${text}")
  list(REMOVE_ITEM COMPILE "-I${ROOT}/include")
  file(MAKE_DIRECTORY "${SCRATCH}/build")
  run(${COMPILE} "${SCRATCH}/main.cpp" -o "${program}" -pthread)
else()
  message(FATAL_ERROR "HOW is none of the ways above: ${HOW}")
endif()
run("${program}")
if(NOT output MATCHES "^eigenformer [0-9]+\\.[0-9]+\\.[0-9]+ on [a-z0-9]+: \\[2, 3, 5\\]\n$")
  message(FATAL_ERROR "The consumer printed\n${output}")
endif()
