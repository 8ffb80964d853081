// SPDX-License-Identifier: MIT

#include <eigenformer/core/profiler.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <type_traits>

namespace ef = eigenformer;

static_assert(std::has_virtual_destructor_v<ef::Profiler> && std::is_abstract_v<ef::Profiler>);
static_assert(!std::is_copy_constructible_v<ef::Profiler>, "a Context keeps its address");

TEST(Profiler, is_told_through_its_base) {
  struct Depth : ef::Profiler {
    explicit Depth(int& most) : most_(most) {}
    void enter(std::string_view) override { most_ = (std::max)(most_, ++depth_); }
    void leave() override { --depth_; }
    int depth_ = 0;
    int& most_;
  };
  int most = 0;
  const std::unique_ptr<ef::Profiler> profiler = std::make_unique<Depth>(most);
  profiler->enter("a");
  profiler->enter("b");
  profiler->leave();
  profiler->enter("c");
  profiler->leave();
  profiler->leave();
  EXPECT_EQ(most, 2);
}
