# SPDX-License-Identifier: MIT
# Tests of the headers as text, as a user's compiler and build system see them; nothing here runs the mathematics.

# Every header compiles alone, under the strict warnings. What is compiled before is what every header includes anyway,
# by way of core/abi.hpp.
file(GLOB_RECURSE headers RELATIVE "${PROJECT_SOURCE_DIR}/include" CONFIGURE_DEPENDS
  "${PROJECT_SOURCE_DIR}/include/*.hpp")
list(FILTER headers EXCLUDE REGEX "^eigenformer/mpi[./]")
add_library(headers_alone OBJECT)
set(all_headers "")
foreach(header IN LISTS headers)
  string(REPLACE "/" "__" name "${header}")
  file(CONFIGURE OUTPUT headers_alone/${name}.cpp CONTENT "#include <${header}>\n")
  target_sources(headers_alone PRIVATE "${CMAKE_CURRENT_BINARY_DIR}/headers_alone/${name}.cpp")
  string(APPEND all_headers "#include <${header}>\n")
endforeach()
target_link_libraries(headers_alone PRIVATE eigenformer_own_code)
target_compile_options(headers_alone PRIVATE -O0)
target_precompile_headers(headers_alone PRIVATE <Eigen/Core>)

# All headers in two units of one program: a function that lacks `inline` does not link.
file(CONFIGURE OUTPUT two_units/first.cpp CONTENT "${all_headers}int main() {}\n")
file(CONFIGURE OUTPUT two_units/second.cpp CONTENT "${all_headers}")
add_executable(headers_twice "${CMAKE_CURRENT_BINARY_DIR}/two_units/first.cpp"
  "${CMAKE_CURRENT_BINARY_DIR}/two_units/second.cpp")
target_link_libraries(headers_twice PRIVATE eigenformer_own_code)
target_compile_options(headers_twice PRIVATE -O0)
add_test(NAME Headers.link_from_two_units COMMAND headers_twice)

# clang-tidy reads all headers at once, because each alone would read Eigen again.
if(EIGENFORMER_TIDY)
  find_program(clang_tidy NAMES clang-tidy REQUIRED)
  file(CONFIGURE OUTPUT tidy/all_headers.cpp CONTENT "${all_headers}")
  add_library(tidy OBJECT "${CMAKE_CURRENT_BINARY_DIR}/tidy/all_headers.cpp")
  target_link_libraries(tidy PRIVATE eigenformer_own_code)
  set_target_properties(tidy PROPERTIES
    CXX_CLANG_TIDY "${clang_tidy};--quiet;--config-file=${PROJECT_SOURCE_DIR}/.clang-tidy")
endif()

# What is read off the sources, or asked of the compiler directly.
include("${PROJECT_SOURCE_DIR}/cmake/library_compile_command.cmake")
eigenformer_library_compile_command(compile)

function(add_script_test name script)
  add_test(NAME ${name} COMMAND "${CMAKE_COMMAND}" "-DROOT=${PROJECT_SOURCE_DIR}" "-DCOMPILE=${compile}" ${ARGN}
    -P "${CMAKE_CURRENT_SOURCE_DIR}/${script}")
  set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS house)
endfunction()

set(scratch "${CMAKE_CURRENT_BINARY_DIR}/scratch")
add_script_test(House.keeps_its_layers layering/check.cmake)
add_script_test(House.notices_seeded_faults layering/seeded_faults.cmake "-DSCRATCH=${scratch}/layering")
add_script_test(House.has_every_block_in_the_conformance_table conformance/check_completeness.cmake)
foreach(probe leaks poison)
  file(MAKE_DIRECTORY "${scratch}/${probe}")
endforeach()
add_script_test(Macros.all_carry_our_prefix macros/check.cmake -DPROBE=leaks "-DSCRATCH=${scratch}/leaks")
add_script_test(Macros.of_the_user_do_no_harm macros/check.cmake -DPROBE=poison "-DSCRATCH=${scratch}/poison")
add_script_test(Exceptions.may_be_off no_exceptions/check.cmake "-DSCRATCH=${scratch}/no_exceptions")

set(compiled_headers "-DHEADERS=${scratch}/compile/headers.hpp")
add_script_test(Compile.headers_once compile/check.cmake ${compiled_headers})
set_tests_properties(Compile.headers_once PROPERTIES FIXTURES_SETUP compiled_headers)
set(docs "${PROJECT_BINARY_DIR}/docs")
add_script_test(Documentation.covers_every_public_name documentation/check.cmake
  "-DDOXYFILE=${docs}/Doxyfile" "-DWARNINGS=${docs}/warnings.txt")
set_tests_properties(Documentation.covers_every_public_name PROPERTIES SKIP_REGULAR_EXPRESSION "SKIPPED: ")

file(GLOB contracts CONFIGURE_DEPENDS compile/*.cpp)
foreach(contract IN LISTS contracts)
  get_filename_component(name "${contract}" NAME_WE)
  add_script_test(Compile.${name} compile/check.cmake "-DSOURCE=${contract}" ${compiled_headers})
  set_tests_properties(Compile.${name} PROPERTIES FIXTURES_REQUIRED compiled_headers)
endforeach()

if(NOT CMAKE_CROSSCOMPILING)
  set(ways add_subdirectory fetch_content find_package destdir pkg_config meson plain single_header)
endif()
foreach(how IN LISTS ways)
  add_script_test(Consumer.${how} consumer/check.cmake -DHOW=${how} "-DCXX=${CMAKE_CXX_COMPILER}"
    "-DFLAGS=${CMAKE_CXX_FLAGS}" "-DBUILD=${PROJECT_BINARY_DIR}" "-DSCRATCH=${scratch}/consumer_${how}")
  set_tests_properties(Consumer.${how} PROPERTIES SKIP_REGULAR_EXPRESSION "SKIPPED: ")
endforeach()
if(NOT CMAKE_CROSSCOMPILING)
  add_script_test(Consumer.has_a_vcpkg_port consumer/check_vcpkg_port.cmake "-DCXX=${CMAKE_CXX_COMPILER}"
    "-DEIGEN=${Eigen3_DIR}" "-DSCRATCH=${scratch}/vcpkg")
  find_program(python NAMES python3)
  if(python)
    add_test(NAME Consumer.has_a_conan_recipe COMMAND "${CMAKE_COMMAND}" -E env "${python}"
      "${CMAKE_CURRENT_SOURCE_DIR}/consumer/check_conan_recipe.py" "${PROJECT_SOURCE_DIR}" "${scratch}/conan")
  else()
    add_test(NAME Consumer.has_a_conan_recipe COMMAND "${CMAKE_COMMAND}" -E echo "SKIPPED: there is no python3 here")
  endif()
  set_tests_properties(Consumer.has_a_conan_recipe PROPERTIES SKIP_REGULAR_EXPRESSION "SKIPPED: " LABELS house)
endif()
add_script_test(Consumer.may_ask_for_a_compiler_explorer_link consumer/check_compiler_explorer_link.cmake
  "-DSCRATCH=${scratch}/compiler_explorer")
add_script_test(Consumer.may_bring_eigen_3_4_or_5 consumer/check_eigen_versions.cmake "-DSCRATCH=${scratch}/eigen")

# The kernels are compiled once for all tests.
if(CMAKE_NM)
  add_test(NAME House.compiles_the_kernels_once COMMAND_EXPAND_LISTS
    COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/kernels/compiled/check_instances.sh" "${CMAKE_NM}"
            $<TARGET_OBJECTS:conformance_tests> $<TARGET_OBJECTS:train_tests>)
  set_tests_properties(House.compiles_the_kernels_once PROPERTIES LABELS house)
endif()

# Units that differ in one program.
include(abi/flags.cmake)
if(NOT CMAKE_CROSSCOMPILING)
  add_script_test(Abi.two_versions_live_side_by_side abi/check_two_units.cmake -DDIFFERENCE=version
    "-DSCRATCH=${scratch}/abi_version")
endif()
# About instruction sets of x86.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64" AND NOT CMAKE_CXX_FLAGS MATCHES "-m(arch|avx)")
  file(STRINGS /proc/cpuinfo avx2 REGEX "^flags.* avx2 " LIMIT_COUNT 1)
  file(STRINGS /proc/cpuinfo avx512 REGEX "^flags.* avx512vl " LIMIT_COUNT 1)
  set(architectures "$<$<BOOL:${avx2}>:-march=haswell>" "$<$<BOOL:${avx512}>:-march=skylake-avx512>")
  if(avx2)
    add_script_test(Abi.units_with_other_flags_live_side_by_side abi/check_two_units.cmake -DDIFFERENCE=flags
      "-DARCHITECTURES=${architectures}" "-DSCRATCH=${scratch}/abi_flags")
  endif()
  if(CMAKE_OBJDUMP AND TARGET kernels_tests)
    add_test(NAME Abi.only_named_functions_use_wide_registers
      COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/abi/check_wide_registers.sh" "${CMAKE_OBJDUMP}" $<TARGET_FILE:kernels_tests>)
    set_tests_properties(Abi.only_named_functions_use_wide_registers PROPERTIES LABELS house)
  endif()
endif()
