#pragma once
// SPDX-License-Identifier: MIT

// Whole models made of blocks.

#include <eigenformer/model/beam_search.hpp>
#include <eigenformer/model/bitnet_decoder.hpp>
#include <eigenformer/model/decoder.hpp>
#include <eigenformer/model/decoder_from_multi_head.hpp>
#include <eigenformer/model/decoder_options.hpp>
#include <eigenformer/model/decoder_steps.hpp>
#include <eigenformer/model/encoder_decoder.hpp>
#include <eigenformer/model/encoder_decoder_options.hpp>
#include <eigenformer/model/gpt3_decoder.hpp>
#include <eigenformer/model/gpt3_options.hpp>
#include <eigenformer/model/greedy_search.hpp>
#include <eigenformer/model/llama2c.hpp>
#include <eigenformer/model/llama2c_file.hpp>
#include <eigenformer/model/llama_checkpoint.hpp>
#include <eigenformer/model/llama_config.hpp>
#include <eigenformer/model/llama_config_parser.hpp>
#include <eigenformer/model/llama_config_reader.hpp>
#include <eigenformer/model/llama_parameters.hpp>
#include <eigenformer/model/paged_key_values.hpp>
#include <eigenformer/model/peft.hpp>
#include <eigenformer/model/peft_lora_loader.hpp>
#include <eigenformer/model/peft_lora_names.hpp>
#include <eigenformer/model/peft_lora_saver.hpp>
#include <eigenformer/model/peft_options.hpp>
#include <eigenformer/model/peft_prefix.hpp>
#include <eigenformer/model/peft_prompt.hpp>
#include <eigenformer/model/prompts.hpp>
#include <eigenformer/model/search_options.hpp>
