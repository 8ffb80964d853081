// SPDX-License-Identifier: MIT
// Adapts a checkpoint of train_language_model to another text: all of it, by low-rank adapters (Hu et al. 2021), by prefixes
// (Li & Liang 2021) and by both. Prints what each trains, loses, takes in time and memory, and weighs as a file, draws loss
// against trained parameters, and lets the base and two adapters write in one batch. See --help.

#include <eigenformer/kernels/compiled/kernels.hpp>

#include "contest.hpp"
#include "picture.hpp"
#include "side_by_side.hpp"
#include "train_language_model/text.hpp"

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

namespace {

namespace fs = std::filesystem;

constexpr const char* usage = R"(usage: finetune CHECKPOINT [STEPS [PICTURE [TEXT...]]]

Adapts a checkpoint of train_language_model to other text in several ways.

  CHECKPOINT  that has learnt from something else, for example from this project's C++ alone:
              train_language_model --checkpoint sources.safetensors
                --text $(find include tests bench examples -name '*.?pp' -o -name '*.inl' | sort)
  STEPS       of training for each way and learning rate (1000)
  PICTURE     what is drawn (finetune.svg); what was trained is saved beside it, in a folder of that name
  TEXT        files to adapt to (this project's Markdown)
)";

/// Throws std::runtime_error if the base has learnt from these files, or from all of this project where they are its own.
void require_new(const Origin& origin, const std::vector<fs::path>& files, bool own) {
  const auto piece = std::max<std::size_t>(4096, static_cast<std::size_t>(origin.options.length) + 1);
  const auto knows = [&](const std::vector<fs::path>& others) {
    return read_text(others, piece).fingerprint == origin.text;
  };
  if (own && knows(project_files(EIGENFORMER_SOURCE_DIR))) {
    throw std::runtime_error("the checkpoint has learnt from this project, its Markdown included: see finetune --help");
  }
  std::size_t bytes = 0;
  for (const fs::path& file : files) bytes += fs::is_regular_file(file) ? fs::file_size(file) : 0;
  if (bytes > 2 * piece && knows(files)) throw std::runtime_error("the checkpoint has learnt from that text already");
}

NewText new_text(const Origin& origin, std::vector<fs::path> files) {
  const bool own = files.empty();
  if (own) files = project_documents(EIGENFORMER_SOURCE_DIR);
  require_new(origin, files, own);
  const auto piece = 4 * static_cast<std::size_t>(origin.options.length);
  const Text text = read_text(files, piece);
  NewText result = {text.training, {}, {}};
  for (std::size_t begin = 0; begin < text.held_out.size(); begin += piece) {
    (begin / piece % 2 == 0 ? result.judging : result.choosing).append(text.held_out, begin, piece);
  }
  if (result.choosing.empty()) result.choosing = result.judging;
  std::printf("text     %zu bytes of %zu files to learn from, %zu to choose learning rates by, %zu to judge by\n",
              result.training.size(), text.files, result.choosing.size(), result.judging.size());
  return result;
}

/// The file of what a method has trained.
fs::path file_of(const Method& method, const std::string& picture) {
  std::string name = method.lora ? method.lora->name : "";
  if (method.prefix != PrefixTraining::none) name += name.empty() ? "prefix" : "-prefix";
  if (method.prefix == PrefixTraining::through_mlp) name += "-mlp";
  return fs::path(picture).replace_extension() / ((name.empty() ? "full" : name) + ".safetensors");
}

std::string trained_text(const ef::lora::TrainableShare& share) {
  std::ostringstream text;
  text << share;
  return text.str();
}

void print_row(const Method& method, Outcome& outcome, double seconds_of_full, std::uintmax_t file_bytes) {
  const Footprint footprint = outcome.learner->footprint();
  std::printf("%-21s  %5.0e  %13.3f  %7.1f  %5.2f  %9zu  %9zu  %9ju\n", method.name.c_str(), outcome.learning_rate,
              outcome.bits, 1 / outcome.seconds, seconds_of_full / outcome.seconds, footprint.gradients,
              footprint.optimizer, file_bytes);
}

void print_table(const std::vector<Method>& all, std::vector<Outcome>& outcomes, const std::string& picture) {
  std::printf("\n");
  for (std::size_t m = 0; m < all.size(); ++m) {
    std::printf("%-21s  %s\n", all[m].name.c_str(), trained_text(outcomes[m].learner->footprint().share).c_str());
  }
  std::printf("\n%-21s  %5s  %13s  %7s  %5s  %9s  %9s  %9s\n", "bytes:", "rate", "bits per byte", "steps/s", "times",
              "gradients", "optimiser", "file");
  for (std::size_t m = 0; m < all.size(); ++m) {
    print_row(all[m], outcomes[m], outcomes.front().seconds, outcomes[m].learner->save(file_of(all[m], picture)));
  }
}

/// How many times as fast as full fine-tuning each way makes a step, by how many windows a step has.
void print_speedups(const Base& base, const NewText& text, const Setting& setting, ef::Context& context) {
  const std::vector<Method> compared = {methods().front(), lora_method(8, {"query", "value"}), lora_method(8, {})};
  std::printf("\nwindows of a step  full, ms");
  for (std::size_t m = 1; m < compared.size(); ++m) std::printf("  %s, times", compared[m].name.c_str());
  for (const long batch : {1, 2, 4, 8}) {
    const std::vector<double> seconds = seconds_of_steps(base, compared, batch, text.training, setting, context);
    std::printf("\n%17ld  %8.2f", batch, 1e3 * seconds[0]);
    for (std::size_t m = 1; m < compared.size(); ++m) {
      std::printf("  %*.2f", static_cast<int>(compared[m].name.size()) + 7, seconds[0] / seconds[m]);
    }
  }
  std::printf("\n");
}

/// The base and two adapters, of different ranks and in different layers, read from their files, in one batch.
void print_side_by_side(const Base& base, const NewText& text, const std::string& picture, ef::Context& context) {
  Adaptable model = base.adaptable;
  std::vector<std::string> names = {""};
  for (const Method& method : {lora_method(1, {"query", "value"}), lora_method(8, {})}) {
    ef::lora::attach(model, *method.lora, ef::Random(0));
    auto adapter = ef::lora::parameters(model, method.lora->name);
    ef::load_safetensors(file_of(method, picture), adapter);
    names.push_back(method.lora->name);
  }
  const std::string prompt = text.judging.substr(0, std::min<std::size_t>(100, text.judging.size()));
  const std::vector<std::string> texts = written_side_by_side(model, names, prompt, 200, context);
  std::printf("\n--- prompt\n%s\n", printable(prompt).c_str());
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::printf("--- %s goes on\n%s\n", names[i].empty() ? "the base" : names[i].c_str(), printable(texts[i]).c_str());
  }
}

int run(const std::string& checkpoint, const std::string& picture, const std::vector<fs::path>& files,
        Setting setting) {
  std::ofstream drawing(picture);
  if (!drawing) throw std::runtime_error("cannot write '" + picture + "'");
  const Origin origin = read_origin(checkpoint);
  setting.windows.length = origin.options.length;
  const NewText text = new_text(origin, files);
  const Base base = {load_model(checkpoint, origin.options), load_model<Adaptable>(checkpoint, origin.options)};
  ef::Context context({.threads = setting.threads});
  const double before =
      bits_per_byte_of_all(base.plain, text.judging, setting.windows.batch, setting.windows.length, context);
  std::printf("base     %td parameters, %.3f bits per byte of the text\n", ef::parameter_count(base.plain), before);
  std::printf("training %ld steps of %ld x %ld bytes for each way and each learning rate of", setting.steps,
              setting.windows.batch, setting.windows.length);
  for (const double rate : setting.learning_rates) std::printf(" %.0e", rate);
  std::printf("\n");
  print_speedups(base, text, setting, context);
  std::fflush(stdout);

  const std::vector<Method> all = methods();
  const std::vector<double> seconds =
      seconds_of_steps(base, all, setting.windows.batch, text.training, setting, context);
  std::vector<Outcome> outcomes;
  for (std::size_t m = 0; m < all.size(); ++m) {
    outcomes.push_back(best_of_rates(base, all[m], text, setting, context));
    outcomes.back().seconds = seconds[m];
    std::fprintf(stderr, "%s: %.3f\n", all[m].name.c_str(), outcomes.back().bits);
  }
  fs::create_directories(fs::path(picture).replace_extension());
  print_table(all, outcomes, picture);
  drawing << drawn(all, outcomes, before);
  print_side_by_side(base, text, picture, context);
  std::printf("\ndrawn to '%s', saved to '%s'\n", picture.c_str(),
              fs::path(picture).replace_extension().string().c_str());
  return drawing.flush() ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    Setting setting;
    const std::vector<std::string> given(arguments + 1, arguments + count);
    if (given.size() == 1 && given[0] == "--help") {
      std::cout << usage;
      return 0;
    }
    if (given.size() > 1) setting.steps = std::atol(given[1].c_str());
    if (given.empty() || setting.steps < 1) {
      std::cerr << usage;
      return 2;
    }
    // Few steps are for seeing that it works.
    setting.rounds = static_cast<int>(std::min<long>(setting.rounds, setting.steps));
    std::vector<fs::path> files;
    for (std::size_t i = 3; i < given.size(); ++i) files.emplace_back(given[i]);
    return run(given[0], given.size() > 2 ? given[2] : "finetune.svg", files, setting);
  } catch (const std::exception& error) {
    std::cerr << "finetune: " << error.what() << '\n';
    return 1;
  }
}
