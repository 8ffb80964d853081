// SPDX-License-Identifier: MIT

#include <eigenformer/io/checkpoint.hpp>

#include <eigenformer/core/block.hpp>

#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <limits>
#include <vector>

namespace {

using namespace eigenformer;

/// A block with a parameter of each kind of storage.
template <class T>
struct Layer : Block<Layer<T>> {
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
  Parameter<T, 2> weight{Matrix<T>(3, 5)};
  Parameter<T, 1> bias{Vector<T>(3)};
};
template <class T>
struct Model : Block<Model<T>> {
  static void members(auto& self, auto&& visit) {
    visit("layers", self.layers);
    visit("kernel", self.kernel);
  }
  std::vector<Layer<T>> layers = std::vector<Layer<T>>(2);
  Parameter<T, 3> kernel{Tensor<T, 3>(2, 3, 7)};
};

template <class T>
Model<T> filled(double first) {
  Model<T> model;
  model.visit_parameters([&](const Name&, auto& parameter) {
    for (T& value : parameter.values()) value = static_cast<T>(first += 0.37);
  });
  return model;
}
template <class T>
std::vector<T> contents(const Model<T>& model) {
  std::vector<T> all;
  model.visit_parameters([&](const Name&, const auto& parameter) {
    all.insert(all.end(), parameter.values().begin(), parameter.values().end());
  });
  return all;
}

template <class T>
void expect_round_trip() {
  const support::TemporaryDirectory directory;
  const Model<T> saved = filled<T>(-3);
  save_safetensors(directory / "m", saved, {{"step", "12"}});
  Model<T> loaded = filled<T>(100);
  load_safetensors(directory / "m", loaded);
  EXPECT_EQ(contents(loaded), contents(saved));
  EXPECT_EQ(SafetensorsFile(directory / "m").metadata("step"), "12");
  save_safetensors(directory / "again", loaded, {{"step", "12"}});
  EXPECT_EQ(support::read_file(directory / "again"), support::read_file(directory / "m"));
}

TEST(Checkpoint, loads_what_was_saved_bit_by_bit) {
  expect_round_trip<float>();
  expect_round_trip<double>();
  expect_round_trip<Bfloat16>();
  expect_round_trip<Float16>();
}

TEST(Checkpoint, half_precision_is_kept_and_full_rounded_only_where_asked) {
  const support::TemporaryDirectory directory;
  save_safetensors(directory / "half", filled<Bfloat16>(-3));
  EXPECT_EQ(SafetensorsFile(directory / "half").find("kernel")->dtype, Dtype::bf16);
  Model<float> wide = filled<float>(1);
  load_safetensors(directory / "half", wide);  // exact
  std::vector<float> widened_values;
  for (const Bfloat16 x : contents(filled<Bfloat16>(-3))) widened_values.push_back(widened<float>(x));
  EXPECT_EQ(contents(wide), widened_values);

  save_safetensors(directory / "full", filled<float>(-3));
  Model<Bfloat16> half = filled<Bfloat16>(100);
  const std::vector<Bfloat16> before = contents(half);
  EXPECT_THROW(load_safetensors(directory / "full", half), FileError);
  EXPECT_EQ(contents(half), before);
  load_safetensors(directory / "full", half, {.read = {.narrowing = Narrowing::rounded}});
  std::vector<Bfloat16> rounded_values;
  for (const float x : contents(filled<float>(-3))) rounded_values.push_back(rounded<Bfloat16>(x));
  EXPECT_EQ(contents(half), rounded_values);
  save_safetensors(directory / "widened", wide);
  load_safetensors(directory / "widened", half);  // what fits loses nothing
  EXPECT_EQ(contents(half), contents(filled<Bfloat16>(-3)));
}

TEST(Checkpoint, names_are_those_of_the_blocks) {
  const support::TemporaryDirectory directory;
  save_safetensors(directory / "m", filled<float>(0));
  const SafetensorsFile file{directory / "m"};
  EXPECT_EQ(file.names(), (std::vector<std::string>{"kernel", "layers.0.bias", "layers.0.weight", "layers.1.bias",
                                                    "layers.1.weight"}));
  EXPECT_EQ(file.find("layers.1.weight")->shape, (Shape{3, 5}));
}

// One error that lists everything, and a model that is as it was.
TEST(Checkpoint, lists_all_that_does_not_fit_and_changes_nothing) {
  const support::TemporaryDirectory directory;
  const std::vector<float> values(200);
  const std::vector<std::int32_t> integers(42);
  SafetensorsWriter writer;
  writer.add<float>("layers.0.weight", {5, 3}, std::span(values).first(15));
  writer.add<float>("layers.0.bias", {3}, std::span(values).first(3));
  writer.add<float>("layers.1.bias", {4}, std::span(values).first(4));
  writer.add<std::int32_t>("kernel", {2, 3, 7}, integers);
  writer.add<float>("head.weight", {10, 2}, std::span(values).first(20));
  writer.write(directory / "m");
  Model<float> model = filled<float>(1);
  const std::vector<float> before = contents(model);
  try {
    load_safetensors(directory / "m", model);
    FAIL() << "loaded";
  } catch (const FileError& error) {
    EXPECT_EQ(std::string(error.what()), "safetensors: " + (directory / "m").string() +
                                             ": rule 42 at byte 0: the tensors are not those of the model"
                                             "\n  not in the model: head.weight of shape [10, 2]"
                                             "\n  wrong shape: layers.0.weight: expected [3, 5], got [5, 3]"
                                             "\n  missing: layers.1.weight of shape [3, 5]"
                                             "\n  wrong shape: layers.1.bias: expected [3], got [4]"
                                             "\n  wrong type: kernel: expected F32, got I32");
  }
  EXPECT_EQ(contents(model), before);
}

TEST(Checkpoint, a_value_that_does_not_fit_changes_nothing) {
  const support::TemporaryDirectory directory;
  Model<double> wide = filled<double>(0);
  wide.visit_parameters([](const Name&, auto& parameter) {
    for (double& value : parameter.values()) value = 0.5;
  });
  save_safetensors(directory / "exact", wide);
  wide.kernel.value(1, 2, 6) = 0.1;  // the last value of the last parameter
  save_safetensors(directory / "inexact", wide);
  wide.kernel.value(1, 2, 6) = std::numeric_limits<double>::infinity();
  save_safetensors(directory / "infinite", wide);

  Model<float> model = filled<float>(1);
  const std::vector<float> before = contents(model);
  EXPECT_THROW(load_safetensors(directory / "inexact", model), FileError);
  EXPECT_EQ(contents(model), before);
  EXPECT_THROW(load_safetensors(directory / "infinite", model, {.read = {.finite = Finite::required}}), FileError);
  EXPECT_EQ(contents(model), before);
  EXPECT_THROW(load_safetensors(directory / "absent", model), FileError);
  EXPECT_EQ(contents(model), before);
  load_safetensors(directory / "inexact", model, {.read = {.narrowing = Narrowing::rounded}});
  EXPECT_EQ(model.kernel.value(1, 2, 6), 0.1F);
  load_safetensors(directory / "exact", model);
  EXPECT_EQ(contents(model).at(3), 0.5F);
}

// A model beside other things in one file, as a training state is.
TEST(Checkpoint, takes_a_part_of_a_file_by_prefix) {
  const support::TemporaryDirectory directory;
  const Model<float> first = filled<float>(1);
  const Model<float> second = filled<float>(2);
  SafetensorsWriter writer;
  writer.add_parameters(first, "model.");
  writer.add_parameters(second, "momentum.");
  writer.write(directory / "m");
  const SafetensorsFile file{directory / "m"};
  Model<float> loaded = filled<float>(9);
  load_parameters(file, loaded, {.prefix = "momentum."});
  EXPECT_EQ(contents(loaded), contents(second));
  EXPECT_THROW(load_parameters(file, loaded), FileError);
  EXPECT_THROW(load_parameters(file, loaded, {.prefix = "mo"}), FileError);
}

constexpr std::array table = {NamePair{"layers.*.weight", "stack.*.w"}, NamePair{"layers.*.bias", "stack.*.b"},
                              NamePair{"kernel", "convolution"}};

TEST(Checkpoint, names_may_come_from_a_table) {
  const support::TemporaryDirectory directory;
  const Model<float> saved = filled<float>(4);
  save_safetensors(directory / "m", saved, {}, {.prefix = "net.", .table = table});
  const SafetensorsFile file{directory / "m"};
  EXPECT_EQ(file.names(), (std::vector<std::string>{"net.convolution", "net.stack.0.b", "net.stack.0.w",
                                                    "net.stack.1.b", "net.stack.1.w"}));
  Model<float> loaded = filled<float>(9);
  load_parameters(file, loaded, {.prefix = "net.", .names = table});
  EXPECT_EQ(contents(loaded), contents(saved));
  EXPECT_THROW(load_parameters(file, loaded, {.prefix = "net."}), FileError);
}

TEST(Checkpoint, a_parameter_that_the_table_does_not_name_is_an_error) {
  const support::TemporaryDirectory directory;
  Model<float> model = filled<float>(4);
  const std::span<const NamePair> part = std::span(table).first(2);
  EXPECT_THROW(save_safetensors(directory / "m", model, {}, {.table = part}), FileError);
  EXPECT_FALSE(std::filesystem::exists(directory / "m"));
  save_safetensors(directory / "m", model, {}, {.table = table});
  try {
    load_safetensors(directory / "m", model, {.names = part});
    FAIL();
  } catch (const FileError& error) {
    EXPECT_NE(std::string(error.what())
                  .find("\n  not in the model: convolution of shape [2, 3, 7]"
                        "\n  no name in the table for: kernel"),
              std::string::npos)
        << error.what();
  }
}

TEST(Checkpoint, may_hold_more_where_that_is_said) {
  const support::TemporaryDirectory directory;
  Model<float> model = filled<float>(4);
  const std::vector<float> values(6);
  SafetensorsWriter writer;
  writer.add_parameters(model, "net.");
  writer.add<float>("net.layers.1.frequencies", {6}, values);
  writer.write(directory / "m");
  constexpr std::array<std::string_view, 1> unused = {"layers.*.frequencies"};
  constexpr std::array<std::string_view, 1> other = {"layers.*.frequency"};
  EXPECT_NO_THROW(load_safetensors(directory / "m", model, {.prefix = "net.", .unused = unused}));
  EXPECT_THROW(load_safetensors(directory / "m", model, {.prefix = "net.", .unused = other}), FileError);
  EXPECT_THROW(load_safetensors(directory / "m", model, {.prefix = "net."}), FileError);
}

struct Twice : Block<Twice> {
  static void members(auto& self, auto&& visit) {
    visit("weight", self.a);
    visit("weight", self.b);
  }
  Parameter<float> a{Vector<float>(3)}, b{Vector<float>(3)};
};

TEST(Checkpoint, refuses_models_that_use_a_name_twice) {
  const support::TemporaryDirectory directory;
  Twice twice;
  EXPECT_THROW(save_safetensors(directory / "m", twice), FileError);
  const std::vector<float> values(3);
  SafetensorsWriter writer;
  writer.add<float>("weight", {3}, values);
  writer.write(directory / "m");
  try {
    load_safetensors(directory / "m", twice);
    FAIL();
  } catch (const FileError& error) {
    EXPECT_NE(std::string(error.what()).find("twice in the model: weight"), std::string::npos);
  }
}

TEST(Checkpoint, empty_parameters_are_kept) {
  const support::TemporaryDirectory directory;
  Layer<float> none;
  none.weight.value.resize(0, 5);
  none.bias.value.resize(0);
  save_safetensors(directory / "m", none);
  EXPECT_NO_THROW(load_safetensors(directory / "m", none));
  Layer<float> some;
  EXPECT_THROW(load_safetensors(directory / "m", some), FileError);
}

}  // namespace
