# SPDX-License-Identifier: MIT
# The target `docs`: the manual of every public name, in docs/html of the build folder. Needs doxygen and awk.
set(DOCS_DIR "${PROJECT_BINARY_DIR}/docs")
file(MAKE_DIRECTORY "${DOCS_DIR}")
configure_file(cmake/documentation/Doxyfile.in "${DOCS_DIR}/Doxyfile" @ONLY)
add_custom_target(docs VERBATIM
  COMMAND "${CMAKE_COMMAND}" "-DROOT=${PROJECT_SOURCE_DIR}" "-DDOXYFILE=${DOCS_DIR}/Doxyfile"
          "-DWARNINGS=${DOCS_DIR}/warnings.txt" -P "${PROJECT_SOURCE_DIR}/tests/documentation/check.cmake")
