// SPDX-License-Identifier: MIT

#include "loaded_model.hpp"

template std::unique_ptr<LanguageModel> load_stored_as<float>(const eigenformer::SafetensorsFolder&,
                                                              const eigenformer::LlamaConfig&);
