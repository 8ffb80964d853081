# SPDX-License-Identifier: MIT
# The tests of attention are tested: with a known mistake in the kernels they must fail, without one they pass. The
# mistakes are listed where EIGENFORMER_SEEDED_BUG is read, in kernels/seeded_bug.hpp; one program has them all and
# asks its environment which to make.
add_executable(attention_seeded_bug attention/seeded/seeded_bug.cpp)
target_link_libraries(attention_seeded_bug PRIVATE test_main)
foreach(bug RANGE 20)
  if(bug EQUAL 6 AND CMAKE_CXX_FLAGS MATCHES "fast-math")
    continue()  # it rounds by a detour that the compiler may leave out then
  endif()
  set(test attention_seeded_bug_${bug})
  add_test(NAME ${test} COMMAND attention_seeded_bug --gtest_brief=1)
  set_tests_properties(${test} PROPERTIES LABELS "attention;seeded" TIMEOUT ${EIGENFORMER_TEST_TIMEOUT}
    ENVIRONMENT SEEDED_BUG=${bug})
  if(bug GREATER 0)
    # A crash is no catch: the output must name a failed expectation.
    set_tests_properties(${test} PROPERTIES PASS_REGULAR_EXPRESSION "FAILED  \\] [A-Za-z_/]*SeededBug")
  endif()
endforeach()
