// SPDX-License-Identifier: MIT

#include <eigenformer/model/decoder.hpp>

#include "support/compare.hpp"

#include <gtest/gtest.h>

namespace {

namespace ef = eigenformer;
using Ints = std::vector<std::int32_t>;

TEST(DecoderSteps, leave_all_caches_as_they_were_if_one_of_them_does_not_fit) {
  const ef::LlamaDecoder<float> model({.vocabulary = 29, .dim = 14, .layers = 3, .heads = 1, .hidden = 5},
                                      ef::Random(1));
  ef::Context context;
  ef::Matrix<float> logits(1, 29);
  auto key_values = model.key_values(1, 7);
  model.next_logits(Ints{1, 2, 3}, logits, key_values, context);
  const ef::Matrix<float> before = logits;
  const auto expect_refused = [&](auto caches, const char* why) {
    std::vector<ef::Index> lengths;
    for (const auto& layer : caches) lengths.push_back(layer.length());
    EXPECT_THROW(model.next_logits(Ints{4, 5}, logits, caches, context), ef::ValueError) << why;
    for (std::size_t i = 0; i < caches.size(); ++i) EXPECT_EQ(caches[i].length(), lengths[i]) << why;
    EXPECT_TRUE(support::bit_equal(logits, before)) << why;
  };
  auto full = model.key_values(1, 4);
  model.next_logits(Ints{1, 2, 3}, logits, full, context);
  auto without_room = key_values;
  without_room[2] = full[2];
  expect_refused(without_room, "no room in the last");
  auto uneven = key_values;
  uneven[1].truncate(2);
  expect_refused(uneven, "one is shorter");
}

}  // namespace
