// SPDX-License-Identifier: MIT
// A program without exceptions and run-time type information: it opens files, good and bad, by the functions that return
// results, and shows that a call which would throw ends the program after telling the handler.
//   load FOLDER          writes files there, reads them, and returns 0 if all went as it should
//   load FOLDER raise    opens an absent file by its constructor

#include <eigenformer/eigenformer.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "compile with -fno-exceptions -fno-rtti"
#endif

namespace ef = eigenformer;

bool throws_here();  // in the other unit

namespace {

int failures = 0;
void expect(bool condition, const char* what) {
  if (condition) return;
  std::printf("failed: %s\n", what);
  ++failures;
}

struct Pair : ef::Block<Pair> {
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
  ef::Parameter<float, 2> weight{ef::Matrix<float>(2, 3)};
  ef::Parameter<float, 1> bias{ef::Vector<float>(2)};
};

void files(const std::string& folder) {
  Pair saved;
  saved.weight.value.setConstant(2);
  saved.bias.value.setConstant(3);
  expect(bool(ef::try_save_safetensors(folder + "/model.safetensors", saved)), "save");

  const auto file = ef::SafetensorsFile::try_open(folder + "/model.safetensors");
  expect(bool(file) && file->size() == 2, "open");
  std::vector<float> values(6);
  expect(bool(file->try_check<float>("weight", {2, 3})), "check");
  expect(bool(file->try_read<float>("weight", {2, 3}, values)) && values[5] == 2, "read");
  expect(file->try_read<float>("weight", {3, 2}, values).fault().rule == 42, "another shape is a fault");
  expect(file->try_read<float>("absent", {3, 2}, values).fault().rule == 42, "an absent tensor is a fault");

  Pair loaded;
  loaded.weight.value.setZero();
  expect(bool(ef::try_load_safetensors(folder + "/model.safetensors", loaded)), "load");
  expect(loaded.weight.value(1, 2) == 2 && loaded.bias.value(1) == 3, "loaded what was saved");
  const auto checkpoint = ef::SafetensorsFolder::try_open(folder);
  expect(bool(checkpoint) && bool(ef::try_load_parameters(*checkpoint, loaded)), "load from a folder");

  std::FILE* bad = std::fopen((folder + "/bad.safetensors").c_str(), "wb");
  std::fwrite("\x02\0\0\0\0\0\0\0[]", 1, 10, bad);
  std::fclose(bad);
  const auto refused = ef::SafetensorsFile::try_open(folder + "/bad.safetensors");
  expect(!refused && refused.fault().rule != 0, "a bad file is a fault");
  expect(!ef::try_load_safetensors(folder + "/bad.safetensors", loaded), "a bad file is not loaded");
  expect(!ef::try_load_safetensors(folder + "/absent", loaded), "an absent file is not loaded");
  expect(!ef::try_save_safetensors(folder + "/absent/model.safetensors", loaded), "nowhere to save");
  expect(loaded.weight.value(1, 2) == 2, "a failure changes nothing");
}

void mathematics() {
  ef::Decoder<float> model({.vocabulary = 16, .dim = 32, .layers = 1, .heads = 2, .kv_heads = 1, .hidden = 64},
                           ef::Random(1));
  ef::Tensor<std::int32_t, 2> tokens(1, 5);
  tokens.setZero();
  ef::Context context;
  ef::Matrix<float> logits(5, 16);
  model.forward(tokens, logits, context);
  expect(logits.allFinite(), "a model runs");
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return 2;
  const std::string folder = arguments[1];
  if (count > 2) {
    ef::set_failure_handler([](const char* message) {
      std::printf("told: %s\n", message);
      std::fflush(stdout);
      std::_Exit(42);
    });
    const ef::SafetensorsFile absent(folder + "/absent");
    return 3;
  }
  files(folder);
  mathematics();
  expect(throws_here(), "a unit with exceptions throws");
  return failures == 0 ? 0 : 1;
}
