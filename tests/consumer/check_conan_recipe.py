# SPDX-License-Identifier: MIT
"""The Conan recipe in the tree, without Conan: what it imports is stood in for, and its steps are run.

check_conan_recipe.py <project> <folder, which is emptied>
"""
import fnmatch
import importlib.util
import os
import re
import shutil
import sys
import types

root, scratch = sys.argv[1:3]
shutil.rmtree(scratch, ignore_errors=True)


def copy(_, pattern, src, dst):
    for folder, _, files in os.walk(src):
        for name in files:
            relative = os.path.relpath(os.path.join(folder, name), src)
            if fnmatch.fnmatch(relative, pattern) and not relative.startswith("build"):
                os.makedirs(os.path.dirname(os.path.join(dst, relative)), exist_ok=True)
                shutil.copy(os.path.join(folder, name), os.path.join(dst, relative))


def stand_in(name, **members):
    sys.modules[name] = types.SimpleNamespace(**members)


asked = {}
stand_in("conan", ConanFile=object)
stand_in("conan.tools", __path__=[])
stand_in("conan.tools.build", check_min_cppstd=lambda _, standard: asked.update(standard=standard))
stand_in("conan.tools.files", copy=copy, load=lambda _, path: open(path, encoding="utf-8").read())
stand_in("conan.tools.layout", basic_layout=lambda _, src_folder: asked.update(layout=src_folder))

folder = os.path.join(root, "cmake", "packaging", "conan")
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("conanfile", os.path.join(folder, "conanfile.py"))
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

recipe = module.EigenformerConan()
recipe.recipe_folder = folder
recipe.export_sources_folder = recipe.source_folder = os.path.join(scratch, "sources")
recipe.package_folder = os.path.join(scratch, "package")
recipe.settings = types.SimpleNamespace(os="Linux")
recipe.info = types.SimpleNamespace(clear=lambda: asked.update(one_package_for_all=True))
recipe.cpp_info = types.SimpleNamespace(set_property=lambda key, value: asked.update({key: value}))
recipe.requires = lambda what, **traits: asked.update(requires=what, **traits)
for step in ("set_version", "export_sources", "layout", "requirements", "package_id", "validate", "package", "package_info"):
    getattr(recipe, step)()

header = open(os.path.join(root, "include/eigenformer/core/version.hpp"), encoding="utf-8").read()
assert recipe.version == ".".join(re.findall(r"version_\w+ = (\d+);", header)), recipe.version
assert asked == {
    "standard": 20, "layout": ".", "one_package_for_all": True, "requires": "eigen/[>=3.4 <6]", "transitive_headers": True,
    "cmake_file_name": "eigenformer", "cmake_target_name": "eigenformer::eigenformer", "pkg_config_name": "eigenformer",
}, asked


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


expected = sorted(os.path.join("include", name) for name in files_below(os.path.join(root, "include")))
assert len(expected) > 100 and files_below(recipe.package_folder) == expected + ["licenses/LICENSE"]
