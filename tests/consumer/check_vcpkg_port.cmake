# SPDX-License-Identifier: MIT
# The vcpkg port in the tree, without vcpkg: its manifest is JSON with our version, and its portfile does what it says
# when the functions that vcpkg provides are stood in for by plain CMake. The other places that repeat the version, which
# core/version.hpp holds, are looked at too.
#   cmake -DROOT=<project> -DSCRATCH=<folder> -DCXX=<compiler> -DEIGEN=<folder of Eigen3Config.cmake> -P check_vcpkg_port.cmake
cmake_minimum_required(VERSION 3.25)

include("${ROOT}/cmake/version.cmake")
eigenformer_read_version("${ROOT}/include/eigenformer/core/version.hpp" version)
set(port "${ROOT}/cmake/packaging/vcpkg/eigenformer")

file(READ "${port}/vcpkg.json" manifest)
foreach(key name version license)
  string(JSON ${key}_in_manifest GET "${manifest}" ${key})
endforeach()
string(JSON eigen GET "${manifest}" dependencies 0 name)
if(NOT "${name_in_manifest} ${version_in_manifest} ${license_in_manifest} ${eigen}" STREQUAL
   "eigenformer ${version} MIT eigen3")
  message(FATAL_ERROR "vcpkg.json is not that of eigenformer ${version}, MIT, over eigen3:\n${manifest}")
endif()
file(STRINGS "${ROOT}/CITATION.cff" cited REGEX "^version: ")
if(NOT cited STREQUAL "version: ${version}")
  message(FATAL_ERROR "CITATION.cff says `${cited}`, but this is ${version}")
endif()

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}\n${text}")
  endif()
endfunction()
function(require_file path)
  if(NOT EXISTS "${path}")
    message(FATAL_ERROR "the port expects ${path}")
  endif()
endfunction()

function(vcpkg_cmake_configure)
  cmake_parse_arguments(PARSE_ARGV 0 given "" "SOURCE_PATH" "OPTIONS")
  run("${CMAKE_COMMAND}" -S "${given_SOURCE_PATH}" -B "${SCRATCH}/build" -G Ninja ${given_OPTIONS}
    "-DCMAKE_INSTALL_PREFIX=${CURRENT_PACKAGES_DIR}" "-DCMAKE_CXX_COMPILER=${CXX}" "-DEigen3_DIR=${EIGEN}")
endfunction()
function(vcpkg_cmake_install)
  run("${CMAKE_COMMAND}" --build "${SCRATCH}/build" --target install)
endfunction()
function(vcpkg_cmake_config_fixup)
  cmake_parse_arguments(PARSE_ARGV 0 given "" "CONFIG_PATH" "")
  require_file("${CURRENT_PACKAGES_DIR}/${given_CONFIG_PATH}/eigenformer-config.cmake")
  file(RENAME "${CURRENT_PACKAGES_DIR}/${given_CONFIG_PATH}" "${CURRENT_PACKAGES_DIR}/share/eigenformer")
  file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/cmake")
endfunction()
function(vcpkg_fixup_pkgconfig)
  require_file("${CURRENT_PACKAGES_DIR}/share/pkgconfig/eigenformer.pc")
endfunction()
function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 given "" "" "FILE_LIST")
  require_file("${given_FILE_LIST}")
  file(COPY_FILE "${given_FILE_LIST}" "${CURRENT_PACKAGES_DIR}/share/eigenformer/copyright")
endfunction()

file(REMOVE_RECURSE "${SCRATCH}")
set(CURRENT_PACKAGES_DIR "${SCRATCH}/packages")
include("${port}/portfile.cmake")

file(GLOB_RECURSE installed RELATIVE "${CURRENT_PACKAGES_DIR}" "${CURRENT_PACKAGES_DIR}/*")
list(FILTER installed EXCLUDE REGEX "^include/eigenformer/")
list(SORT installed)
list(JOIN installed " " installed)
set(expected share/eigenformer/copyright share/eigenformer/eigenformer-config-version.cmake
  share/eigenformer/eigenformer-config.cmake share/eigenformer/eigenformer-dependencies.cmake
  share/eigenformer/eigenformer-targets.cmake share/pkgconfig/eigenformer.pc)
list(JOIN expected " " expected)
if(NOT installed STREQUAL expected)
  message(FATAL_ERROR "Beside headers the port installs\n  ${installed}\nwhere\n  ${expected}\nwas expected")
endif()
