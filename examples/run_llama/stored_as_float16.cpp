// SPDX-License-Identifier: MIT

#include "loaded_model.hpp"

template std::unique_ptr<LanguageModel> load_stored_as<eigenformer::Float16>(const eigenformer::SafetensorsFolder&,
                                                                             const eigenformer::LlamaConfig&);
