# SPDX-License-Identifier: MIT
# An overlay port of the tree that it lies in:
#   vcpkg install eigenformer --overlay-ports=<eigenformer>/cmake/packaging/vcpkg
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../../.." ABSOLUTE)
set(VCPKG_BUILD_TYPE release)  # headers only: there is nothing to build twice

vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS
    -DEIGENFORMER_INSTALL=ON
    -DEIGENFORMER_BUILD_TESTS=OFF
    -DEIGENFORMER_BUILD_BENCH=OFF
    -DEIGENFORMER_BUILD_EXAMPLES=OFF
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/eigenformer)
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/licenses")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
