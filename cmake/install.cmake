# SPDX-License-Identifier: MIT
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(eigenformer_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/eigenformer")

install(TARGETS eigenformer EXPORT eigenformer-targets)
install(EXPORT eigenformer-targets NAMESPACE eigenformer:: DESTINATION "${eigenformer_package_dir}")
install(DIRECTORY include/eigenformer DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")

configure_package_config_file(cmake/eigenformer-config.cmake.in eigenformer-config.cmake
  INSTALL_DESTINATION "${eigenformer_package_dir}")
write_basic_package_version_file(eigenformer-config-version.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES
  "${CMAKE_CURRENT_BINARY_DIR}/eigenformer-config.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/eigenformer-config-version.cmake"
  cmake/eigenformer-dependencies.cmake
  DESTINATION "${eigenformer_package_dir}")
