# SPDX-License-Identifier: MIT
# What our own tests, benchmarks and examples are compiled with; none of it reaches who uses the library. The library's
# headers are plain includes here (not SYSTEM), so they are held to the same warnings.
add_library(eigenformer_own_code INTERFACE)
target_compile_options(eigenformer_own_code INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
target_link_libraries(eigenformer_own_code INTERFACE eigenformer::eigenformer)

# The kernels, compiled once for the tests and examples whose files include <eigenformer/kernels/compiled/kernels.hpp>.
foreach(scalar float double)
  set(source "${CMAKE_CURRENT_BINARY_DIR}/own_kernels/${scalar}.cpp")
  file(CONFIGURE OUTPUT "${source}"
    CONTENT "#include <eigenformer/kernels/compiled/kernels.hpp>\nEIGENFORMER_COMPILE_KERNELS(${scalar});\n")
  add_library(eigenformer_own_kernels_${scalar} STATIC EXCLUDE_FROM_ALL "${source}")
  target_link_libraries(eigenformer_own_kernels_${scalar} PRIVATE eigenformer_own_code)
endforeach()

set(CMAKE_CXX_EXTENSIONS OFF)
