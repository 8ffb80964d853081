# SPDX-License-Identifier: MIT
"""Conan 2 recipe of the tree that it lies in:  conan create <eigenformer>/cmake/packaging/conan"""
import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load
from conan.tools.layout import basic_layout


class EigenformerConan(ConanFile):
    name = "eigenformer"
    description = "Transformer building blocks over Eigen"
    license = "MIT"
    topics = ("transformer", "attention", "eigen", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    no_copy_source = True

    def _tree(self):
        return os.path.join(self.recipe_folder, "..", "..", "..")

    def set_version(self):
        header = load(self, os.path.join(self._tree(), "include", "eigenformer", "core", "version.hpp"))
        self.version = ".".join(re.search(rf"version_{part} = (\d+);", header)[1] for part in ("major", "minor", "patch"))

    def export_sources(self):
        copy(self, "include/*", src=self._tree(), dst=self.export_sources_folder)
        copy(self, "LICENSE", src=self._tree(), dst=self.export_sources_folder)

    def layout(self):
        basic_layout(self, src_folder=".")

    def requirements(self):
        self.requires("eigen/[>=3.4 <6]", transitive_headers=True)

    def package_id(self):
        self.info.clear()

    def validate(self):
        check_min_cppstd(self, 20)

    def package(self):
        copy(self, "LICENSE", src=self.source_folder, dst=os.path.join(self.package_folder, "licenses"))
        copy(self, "*", src=os.path.join(self.source_folder, "include"), dst=os.path.join(self.package_folder, "include"))

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.set_property("cmake_file_name", "eigenformer")
        self.cpp_info.set_property("cmake_target_name", "eigenformer::eigenformer")
        self.cpp_info.set_property("pkg_config_name", "eigenformer")
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["pthread"]
