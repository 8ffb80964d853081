# SPDX-License-Identifier: MIT
# Writes the whole library as one file, for places that take no folder:
#   cmake [-DOUTPUT=<file>] -P cmake/write_single_header.cmake     (build/single_header/eigenformer.hpp)
# Every header stands in it once, at its first #include. A kernel's body stands in it once for each instruction set, just
# as kernels/simd/for_each_target.hpp includes it.
cmake_minimum_required(VERSION 3.25)

get_filename_component(root "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)
if(NOT OUTPUT)
  set(OUTPUT "${root}/build/single_header/eigenformer.hpp")
endif()
include("${CMAKE_CURRENT_LIST_DIR}/version.cmake")

set(for_each_target "eigenformer/kernels/simd/for_each_target.hpp")

function(emit text)
  set_property(GLOBAL APPEND_STRING PROPERTY single_header "${text}")
endfunction()

# The text of a file without what every file begins with; a kernel's two lines become the inclusion of its body.
function(read_source path result)
  file(READ "${root}/include/${path}" text)
  string(REPLACE "#pragma once\n" "" text "${text}")
  string(REPLACE "// SPDX-License-Identifier: MIT\n" "" text "${text}")
  string(REGEX REPLACE "#define EIGENFORMER_KERNEL <([^>\n]+)>\n#include <${for_each_target}>" "#include <\\1>"
    text "${text}")
  set(${result} "\n${text}" PARENT_SCOPE)
endfunction()

# Emits the text with everything of ours that it includes in place.
function(expand text)
  set(include "\n#include <eigenformer/")
  string(LENGTH "\n#include <" skipped)
  while(TRUE)
    string(FIND "${text}" "${include}" start)
    if(start EQUAL -1)
      break()
    endif()
    string(SUBSTRING "${text}" 0 ${start} before)
    emit("${before}")
    math(EXPR start "${start} + ${skipped}")
    string(SUBSTRING "${text}" ${start} -1 text)
    string(FIND "${text}" ">" end)
    string(SUBSTRING "${text}" 0 ${end} path)
    math(EXPR end "${end} + 1")
    string(SUBSTRING "${text}" ${end} -1 text)
    expand_file("${path}")
  endwhile()
  emit("${text}")
endfunction()

function(expand_file path)
  if(path MATCHES "\\.inl$")
    read_source("${path}" body)
    read_source(${for_each_target} kernel)
    string(REPLACE "\n#include EIGENFORMER_KERNEL\n" "\n// ${path}${body}" kernel "${kernel}")
    string(REGEX REPLACE "^(\n//[^\n]*)+" "" kernel "${kernel}")  # how to write a kernel
    expand("\n#define EIGENFORMER_KERNEL\n${kernel}")
    return()
  endif()
  get_property(done GLOBAL PROPERTY "included ${path}")
  if(done)
    return()
  endif()
  set_property(GLOBAL PROPERTY "included ${path}" TRUE)
  read_source("${path}" text)
  # A header that stood within an #if would be missing wherever that does not hold.
  if(text MATCHES "\n#if[^\n]*\n(#[^\n]*\n)*#include <eigenformer/")
    message(FATAL_ERROR "${path} includes one of our headers within an #if")
  endif()
  emit("\n// ${path}\n")
  expand("${text}")
endfunction()

eigenformer_read_version("${root}/include/eigenformer/core/version.hpp" version)
file(READ "${root}/LICENSE" license)
string(REGEX REPLACE "\n" "\n// " license "\n${license}")
string(REGEX REPLACE " +\n" "\n" license "${license}")
emit("// eigenformer ${version}, all headers in one file, written by cmake/write_single_header.cmake.\n//${license}\n")
emit("// SPDX-License-Identifier: MIT\n#pragma once\n")
expand_file(eigenformer/eigenformer.hpp)

get_property(text GLOBAL PROPERTY single_header)
string(REGEX REPLACE "\n\n\n+" "\n\n" text "${text}")
if(text MATCHES "\n#include [<\"]?eigenformer/" OR text MATCHES "\n#include EIGENFORMER")
  message(FATAL_ERROR "An #include of our own was left over: ${CMAKE_MATCH_0}")
endif()
file(WRITE "${OUTPUT}" "${text}")
