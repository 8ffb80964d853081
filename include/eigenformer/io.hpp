#pragma once
// SPDX-License-Identifier: MIT

#include <eigenformer/io/checkpoint.hpp>
#include <eigenformer/io/dtype.hpp>
#include <eigenformer/io/element_conversion.hpp>
#include <eigenformer/io/file_error.hpp>
#include <eigenformer/io/fixed_text.hpp>
#include <eigenformer/io/input_file.hpp>
#include <eigenformer/io/json_scanner.hpp>
#include <eigenformer/io/output_file.hpp>
#include <eigenformer/io/parameter_names.hpp>
#include <eigenformer/io/result.hpp>
#include <eigenformer/io/safetensors.hpp>
#include <eigenformer/io/safetensors_entry.hpp>
#include <eigenformer/io/safetensors_header.hpp>
#include <eigenformer/io/safetensors_limits.hpp>
#include <eigenformer/io/safetensors_parser.hpp>
#include <eigenformer/io/safetensors_writer.hpp>
#include <eigenformer/io/tensor_source.hpp>
#include <eigenformer/io/utf8.hpp>
