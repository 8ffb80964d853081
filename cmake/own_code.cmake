# SPDX-License-Identifier: MIT
# What our own tests, benchmarks and examples are compiled with; none of it reaches who uses the library. The library's
# headers are plain includes here (not SYSTEM), so they are held to the same warnings.
add_library(eigenformer_own_code INTERFACE)
target_compile_options(eigenformer_own_code INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
target_link_libraries(eigenformer_own_code INTERFACE eigenformer::eigenformer)

set(CMAKE_CXX_EXTENSIONS OFF)
