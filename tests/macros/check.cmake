# SPDX-License-Identifier: MIT
# What the library does to the preprocessor, and what the preprocessor may do to it:
#   cmake "-DCOMPILE=<compiler;flags>" -DROOT=<project> -DSCRATCH=<folder> -DPROBE=leaks|poison -P check.cmake
# leaks:  after everything that the library stands on, including the library defines only EIGENFORMER_ macros, and changes
#         and removes none.
# poison: after the same includes, with min, max and others defined as macros that compile nowhere, it still compiles; so
#         it does after the system's headers that define such macros.
cmake_minimum_required(VERSION 3.25)

# What the library stands on, read off its own includes.
file(GLOB_RECURSE headers "${ROOT}/include/eigenformer/*.hpp" "${ROOT}/include/eigenformer/*.inl")
list(FILTER headers EXCLUDE REGEX "/eigenformer/mpi[./]")
set(foundations "")
foreach(header IN LISTS headers)
  file(STRINGS "${header}" lines REGEX "^[ \t]*#[ \t]*include[ \t]*<")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE ".*<([^>]+)>.*" "\\1" path "${line}")
    list(APPEND foundations "${path}")
  endforeach()
endforeach()
list(FILTER foundations EXCLUDE REGEX "^eigenformer/")
list(REMOVE_DUPLICATES foundations)
list(SORT foundations)

if(NOT "Eigen/Core" IN_LIST foundations)
  message(FATAL_ERROR "the library's includes were not read")
endif()

set(before "")
foreach(path IN LISTS foundations)
  set(guard "__has_include(<${path}>)")
  if(path MATCHES "^arm_")
    string(APPEND guard " && defined(__aarch64__)")
  elseif(path MATCHES "intrin\\.h$")
    string(APPEND guard " && defined(__x86_64__)")
  endif()
  string(APPEND before "#if ${guard}\n#include <${path}>\n#endif\n")
endforeach()
set(library "#include <eigenformer/eigenformer.hpp>\n")
if(EXISTS "${ROOT}/include/eigenformer/io.hpp")
  string(APPEND library "#include <eigenformer/io.hpp>\n")
endif()

function(run result)
  execute_process(COMMAND ${COMPILE} ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE text)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}:\n${text}")
  endif()
  set(${result} "${output}" PARENT_SCOPE)
endfunction()

if(PROBE STREQUAL "leaks")
  file(WRITE "${SCRATCH}/before.cpp" "${before}")
  file(WRITE "${SCRATCH}/after.cpp" "${before}${library}")
  foreach(side before after)
    run(unused -dM -E "${SCRATCH}/${side}.cpp" -o "${SCRATCH}/${side}.txt")
    # Each line stays one list element: no separators, no brackets.
    file(READ "${SCRATCH}/${side}.txt" text)
    string(REPLACE ";" "<semicolon>" text "${text}")
    string(REPLACE "[" "<open>" text "${text}")
    string(REPLACE "]" "<close>" text "${text}")
    string(REPLACE "\\" "<backslash>" text "${text}")
    string(REPLACE "\n" ";" ${side} "${text}")
  endforeach()
  list(LENGTH before count)
  if(count LESS 1000)
    message(FATAL_ERROR "only ${count} macros before the library: the list was not read")
  endif()
  set(removed ${before})
  list(REMOVE_ITEM removed ${after})
  set(added ${after})
  list(REMOVE_ITEM added ${before})
  set(ours ${added})
  list(FILTER ours INCLUDE REGEX "^#define EIGENFORMER_")
  list(FILTER added EXCLUDE REGEX "^#define EIGENFORMER_")
  if(added OR removed)
    list(JOIN added "\n  " added)
    list(JOIN removed "\n  " removed)
    message(FATAL_ERROR "The library leaks macros:\n  ${added}\nand removes or changes:\n  ${removed}")
  endif()
  list(LENGTH ours count)
  message(NOTICE "${count} macros of the library, all with its prefix")
elseif(PROBE STREQUAL "poison")
  set(poison "")
  foreach(macro IN ITEMS
      "min(a, b)" "max(a, b)" "MIN(a, b)" "MAX(a, b)"                         # windows.h, sys/param.h
      "isnan(x)" "isinf(x)" "isfinite(x)" "signbit(x)" "fpclassify(x)"        # math.h
      I complex imaginary                                                     # complex.h
      B0 B50 B9600 ECHO NL0 CR0 BS0 VT0                                       # termios.h
      small near far interface IN OUT OPTIONAL CONST VOID ERROR DELETE STRICT TRUE FALSE NO_ERROR  # windows.h
      "major(x)" "minor(x)" "makedev(x, y)"                                   # sys/sysmacros.h
      None Bool Status Success Always True False Complex Above Below          # X11/Xlib.h
      slots signals emit "foreach(x, y)"                                      # Qt
      linux unix DOMAIN OVERFLOW UNDERFLOW PI M_PI)                           # math.h, GNU dialects
    string(REGEX MATCH "^[A-Za-z0-9_]+" name "${macro}")
    string(APPEND poison "#undef ${name}\n#define ${macro} @poisoned_${name}@\n")
  endforeach()
  file(WRITE "${SCRATCH}/poison.cpp" "${before}${poison}${library}")
  run(unused -fsyntax-only "${SCRATCH}/poison.cpp")

  # The real ones, before anything else, in the dialect that defines `linux` and `unix` too.
  set(system "")
  foreach(header complex.h curses.h math.h sys/param.h sys/sysmacros.h termios.h)
    string(APPEND system "#if __has_include(<${header}>)\n#include <${header}>\n#endif\n")
  endforeach()
  file(WRITE "${SCRATCH}/system.cpp" "${system}${library}")
  run(unused -std=gnu++20 -fsyntax-only "${SCRATCH}/system.cpp")
else()
  message(FATAL_ERROR "PROBE is leaks or poison")
endif()
