# SPDX-License-Identifier: MIT
# Which Eigen the library accepts, with packages that state a version and use Eigen's own compatibility rule:
#   cmake -DROOT=<project> -DSCRATCH=<folder> -P check_eigen_versions.cmake
cmake_minimum_required(VERSION 3.25)

foreach(case 3.3.9:refused 3.4.0:accepted 3.4.90:accepted 5.0.0:accepted 5.0.1:accepted 6.0.0:refused)
  string(REPLACE ":" ";" case "${case}")
  list(GET case 0 version)
  list(GET case 1 expected)
  set(folder "${SCRATCH}/${version}")
  file(REMOVE_RECURSE "${folder}")
  file(WRITE "${folder}/eigen/Eigen3Config.cmake"
    "if(NOT TARGET Eigen3::Eigen)\n  add_library(Eigen3::Eigen INTERFACE IMPORTED)\nendif()\n")
  # Refuses a request for another major version, as Eigen's package does.
  file(WRITE "${folder}/eigen/Eigen3ConfigVersion.cmake"
    "set(PACKAGE_VERSION ${version})\nif(PACKAGE_FIND_VERSION)\n  set(PACKAGE_VERSION_UNSUITABLE TRUE)\n"
    "else()\n  set(PACKAGE_VERSION_COMPATIBLE TRUE)\nendif()\n")
  file(WRITE "${folder}/project/CMakeLists.txt"
    "cmake_minimum_required(VERSION 3.25)\nproject(eigen_version LANGUAGES CXX)\n"
    "include(\"${ROOT}/cmake/eigenformer-dependencies.cmake\")\neigenformer_find_dependencies()\n")
  execute_process(COMMAND "${CMAKE_COMMAND}" -S "${folder}/project" -B "${folder}/build" -G Ninja
      "-DEigen3_DIR=${folder}/eigen" -DCMAKE_CXX_COMPILER_WORKS=ON
    RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(status EQUAL 0)
    set(seen accepted)
  elseif(text MATCHES "needs Eigen 3.4 or 5, found ${version}")
    set(seen refused)
  else()
    set(seen "an error: ${text}")
  endif()
  if(NOT seen STREQUAL expected)
    message(FATAL_ERROR "Eigen ${version}: expected ${expected}, got ${seen}")
  endif()
endforeach()
