# SPDX-License-Identifier: MIT
# The tests of attention are tested: built with a known mistake in the kernels they must fail, built without they pass.
# The mistakes are listed where EIGENFORMER_SEEDED_BUG is read, in kernels/attention_problem.hpp.
foreach(bug RANGE 8)
  if(bug EQUAL 6 AND CMAKE_CXX_FLAGS MATCHES "fast-math")
    continue()  # it rounds by a detour that the compiler may leave out then
  endif()
  set(target attention_seeded_bug_${bug})
  add_executable(${target} attention/seeded/seeded_bug.cpp)
  target_compile_definitions(${target} PRIVATE EIGENFORMER_SEEDED_BUG=${bug})
  target_link_libraries(${target} PRIVATE test_main)
  target_precompile_headers(${target} REUSE_FROM test_main)
  add_test(NAME ${target} COMMAND ${target} --gtest_brief=1)
  set_tests_properties(${target} PROPERTIES LABELS "attention;seeded" TIMEOUT ${EIGENFORMER_TEST_TIMEOUT})
  if(bug GREATER 0)
    # A crash is no catch: the output must name a failed expectation.
    set_tests_properties(${target} PROPERTIES PASS_REGULAR_EXPRESSION "FAILED  \\] [A-Za-z_/]*SeededBug")
  endif()
endforeach()
