// SPDX-License-Identifier: MIT
// A block is a value, and a call of it a function of its arguments.

#include <set>

#include "conformance/property.hpp"

namespace {

using conformance::Extent;
using conformance::output_of;
using conformance::small;
using conformance::Start;
namespace ef = eigenformer;

CONFORMANCE_SUITE(Value);

CONFORMANCE(Value, copy_equals_original_and_goes_its_own_way) {
  Start<T> start(row);
  const std::vector<T> y = output_of(*start.subject, start.x, small, start.context);
  const auto copy = start.subject->copy();
  EXPECT_TRUE(support::bit_equal(output_of(*copy, start.x, small, start.context), y));
  for (const auto& parameter : copy->parameters()) {
    for (T& value : parameter.values) value *= T(3);
  }
  for (const auto& parameter : copy->stored_halves()) {
    for (std::uint16_t& bits : parameter.bits) bits ^= 0x8000U;
  }
  EXPECT_TRUE(support::bit_equal(output_of(*start.subject, start.x, small, start.context), y));
  if (!copy->parameters().empty() || !copy->stored_halves().empty()) {
    EXPECT_FALSE(support::bit_equal(output_of(*copy, start.x, small, start.context), y));
  }
}

CONFORMANCE(Value, moved_and_assigned_blocks_give_the_same) {
  Start<T> start(row);
  const std::vector<T> y = output_of(*start.subject, start.x, small, start.context);
  const auto other = row.make();
  other->assign(*start.subject);
  EXPECT_TRUE(support::bit_equal(output_of(*other, start.x, small, start.context), y));
  const auto moved = start.subject->move();
  EXPECT_TRUE(support::bit_equal(output_of(*moved, start.x, small, start.context), y));
  start.subject->assign(*other);  // a block that was moved from can be given a value again
  EXPECT_TRUE(support::bit_equal(output_of(*start.subject, start.x, small, start.context), y));
}

CONFORMANCE(Value, lives_in_vectors_and_optionals) {
  Start<T> start(row);
  const std::vector<T> y = output_of(*start.subject, start.x, small, start.context);
  const auto blocks = start.subject->out_of_containers();
  ASSERT_EQ(blocks.size(), 7U);
  for (const auto& block : blocks) {
    EXPECT_TRUE(support::bit_equal(output_of(*block, start.x, small, start.context), y));
  }
}
CONFORMANCE(Value, is_made_the_same_from_the_same_random) {
  const auto first = row.make();
  const auto second = row.make();
  const auto a = first->parameters();
  const auto b = second->parameters();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(support::bit_equal(a[i].values, b[i].values)) << a[i].name;
  EXPECT_TRUE(same_halves(*first, *second));
}

CONFORMANCE(Value, parts_start_with_random_numbers_of_their_own) {
  const auto subject = row.make();
  const auto parameters = subject->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const auto& a = parameters[i].values;
      const auto& b = parameters[j].values;
      const bool constant = std::all_of(a.begin(), a.end(), [&](T value) { return value == a[0]; });
      const bool equal_start = a.size() > 1 && b.size() > 1 && a[0] == b[0] && a[1] == b[1];
      EXPECT_TRUE(constant || !equal_start) << parameters[i].name << " begins as " << parameters[j].name;
    }
  }
}

CONFORMANCE(Value, same_call_gives_the_same_bits) {
  Start<T> start(row);
  const std::vector<T> y = output_of(*start.subject, start.x, small, start.context);
  EXPECT_TRUE(support::bit_equal(output_of(*start.subject, start.x, small, start.context), y));
  const auto step = step_of(*start.subject, start.x, start.dy, small, start.context);
  EXPECT_TRUE(same(step_of(*start.subject, start.x, start.dy, small, start.context), step));
}

CONFORMANCE(Value, call_operator_equals_forward) {
  Start<T> start(row);
  const std::vector<T> y = output_of(*start.subject, start.x, small, start.context);
  EXPECT_TRUE(support::bit_equal(start.subject->call_operator(start.x.data(), small), y));
  EXPECT_TRUE(support::bit_equal(start.subject->call_operator(start.x.data(), small, start.context), y));
}

CONFORMANCE(Value, cache_does_not_change_the_result) {
  Start<T> start(row);
  const std::vector<T> y = output_of(*start.subject, start.x, small, start.context);
  EXPECT_TRUE(support::bit_equal(step_of(*start.subject, start.x, start.dy, small, start.context).y, y));
}

CONFORMANCE(Value, permuting_a_batch_permutes_the_result) {
  constexpr Extent extent = {5, 7};
  Start<T> start(row, extent);
  const auto permuted = [&](const std::vector<T>& numbers) {
    const std::size_t sequence = numbers.size() / 5;
    std::vector<T> result(numbers.size());
    for (std::size_t b = 0; b < 5; ++b) {
      std::copy_n(numbers.data() + b * sequence, sequence, result.data() + (b * 3 + 1) % 5 * sequence);
    }
    return result;
  };
  const auto step = step_of(*start.subject, start.x, start.dy, extent, start.context);
  const auto other = step_of(*start.subject, permuted(start.x), permuted(start.dy), extent, start.context);
  EXPECT_TRUE(support::bit_equal(other.y, permuted(step.y)));
  EXPECT_TRUE(support::bit_equal(other.dx, permuted(step.dx)));
}

CONFORMANCE(Value, visits_name_each_parameter_once_and_const_visits_agree) {
  const auto subject = row.make();
  const auto parameters = subject->parameters();
  const auto constant = std::as_const(*subject).constant_parameters();
  ASSERT_EQ(parameters.size(), constant.size());
  std::set<std::string> names;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = parameters[i].name;
    EXPECT_TRUE(names.insert(name).second) << name << " comes twice";
    EXPECT_FALSE(name.empty() || name.starts_with('.') || name.ends_with('.') || name.find("..") != name.npos) << name;
    EXPECT_EQ(constant[i].name, name);
    EXPECT_EQ(constant[i].values.data(), parameters[i].values.data()) << name;
    EXPECT_EQ(constant[i].values.size(), parameters[i].values.size()) << name;
    EXPECT_FALSE(parameters[i].values.empty()) << name;
  }
  for (const auto& parameter : subject->stored_halves()) {
    EXPECT_TRUE(names.insert(parameter.name).second) << parameter.name << " comes twice";
    EXPECT_FALSE(parameter.bits.empty()) << parameter.name;
  }
  const auto copy = subject->copy();
  const auto again = copy->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) EXPECT_EQ(again[i].name, parameters[i].name);
}

}  // namespace
