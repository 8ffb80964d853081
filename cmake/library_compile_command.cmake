# SPDX-License-Identifier: MIT
# The compiler and flags of a plain user of the library, for tests that run the compiler themselves: our headers by -I,
# what they stand on by -isystem.
function(eigenformer_library_compile_command result)
  separate_arguments(flags UNIX_COMMAND "${CMAKE_CXX_FLAGS}")
  set(command "${CMAKE_CXX_COMPILER}" -std=c++20 ${flags} "-I${PROJECT_SOURCE_DIR}/include")
  foreach(target Eigen3::Eigen)
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    # -isystem of a directory that the compiler searches anyway would reorder its own search.
    list(REMOVE_ITEM directories ${CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES})
    foreach(directory IN LISTS directories)
      list(APPEND command -isystem "${directory}")
    endforeach()
  endforeach()
  set(${result} "${command}" PARENT_SCOPE)
endfunction()
