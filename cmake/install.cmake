# SPDX-License-Identifier: MIT
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(eigenformer_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/eigenformer")
set(eigenformer_pkgconfig_dir "${CMAKE_INSTALL_DATADIR}/pkgconfig")

install(TARGETS eigenformer EXPORT eigenformer-targets)
install(EXPORT eigenformer-targets NAMESPACE eigenformer:: DESTINATION "${eigenformer_package_dir}")
install(DIRECTORY include/eigenformer DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/eigenformer")

configure_package_config_file(cmake/eigenformer-config.cmake.in eigenformer-config.cmake
  INSTALL_DESTINATION "${eigenformer_package_dir}")
write_basic_package_version_file(eigenformer-config-version.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES
  "${CMAKE_CURRENT_BINARY_DIR}/eigenformer-config.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/eigenformer-config-version.cmake"
  cmake/eigenformer-dependencies.cmake
  DESTINATION "${eigenformer_package_dir}")

cmake_path(ABSOLUTE_PATH eigenformer_pkgconfig_dir BASE_DIRECTORY /prefix OUTPUT_VARIABLE pc_from)
cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_INCLUDEDIR BASE_DIRECTORY /prefix OUTPUT_VARIABLE pc_to)
cmake_path(RELATIVE_PATH pc_to BASE_DIRECTORY "${pc_from}" OUTPUT_VARIABLE EIGENFORMER_PC_TO_INCLUDE)
configure_file(cmake/eigenformer.pc.in eigenformer.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/eigenformer.pc" DESTINATION "${eigenformer_pkgconfig_dir}")
