# SPDX-License-Identifier: MIT
# Finds what the library stands on. The installed package uses this same file.

macro(eigenformer_find_dependencies)
  find_package(Threads REQUIRED)
  # Who uses the library may have brought Eigen in already, from sources for example. Otherwise: Eigen's own version file
  # calls 5 incompatible with a request for 3.4, so ask for none and look at the number.
  if(NOT TARGET Eigen3::Eigen)
    find_package(Eigen3 REQUIRED)
    if(Eigen3_VERSION VERSION_LESS 3.4 OR Eigen3_VERSION VERSION_GREATER_EQUAL 6)
      message(FATAL_ERROR "eigenformer needs Eigen 3.4 or 5, found ${Eigen3_VERSION}.")
    endif()
  endif()
endmacro()
