# SPDX-License-Identifier: MIT
# Tests of what the benchmarks print, of their pictures, and of the peers' answers. Nothing is timed.
if(NOT TARGET eigenformer_bench_report)
  add_subdirectory("${PROJECT_SOURCE_DIR}/bench/report" "${PROJECT_BINARY_DIR}/bench/report")
endif()
target_link_libraries(bench_tests PRIVATE eigenformer_bench_report)

find_program(EIGENFORMER_BENCH_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)  # Debian's, with Debian's matplotlib
find_program(EIGENFORMER_BENCH_PYTHON NAMES python3)
find_program(EIGENFORMER_BENCH_NODE NAMES node nodejs)
foreach(what pictures torch_peer onnx_peer)
  set(program "${EIGENFORMER_BENCH_PYTHON}")
  if(what STREQUAL "onnx_peer")
    set(program "${EIGENFORMER_BENCH_NODE}")
  endif()
  add_test(NAME Bench.${what} COMMAND "${CMAKE_COMMAND}" "-DPROGRAM=${program}" "-DROOT=${PROJECT_SOURCE_DIR}"
    "-DSCRATCH=${CMAKE_CURRENT_BINARY_DIR}/scratch/bench_${what}" -P "${CMAKE_CURRENT_LIST_DIR}/check_${what}.cmake")
  set_tests_properties(Bench.${what} PROPERTIES TIMEOUT 120 LABELS bench SKIP_REGULAR_EXPRESSION "SKIPPED: ")
endforeach()
