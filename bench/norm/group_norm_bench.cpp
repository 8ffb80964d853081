// SPDX-License-Identifier: MIT

#include <eigenformer/norm/group_norm.hpp>

#include <norm/plain_channel_norm.hpp>

namespace {

using namespace bench;

class Group : public ChannelNormCase<ef::GroupNorm<float>> {
 public:
  explicit Group(const grid::Images& size)
      : ChannelNormCase(ef::GroupNorm<float>({.dim = size.channels, .groups = size.groups}), size.batch, size.groups,
                        size.batch * size.positions, size.channels) {}

  void forward(ef::Context& context) { norm_.forward(images(std::as_const(x_)), images(y_), context); }
  Error error() const { return error_of_y(); }

 protected:
  ef::ConstTensorView<float, 3> images(const ef::Matrix<float>& m) const {
    return {m.data(), items_, m.rows() / items_, m.cols()};
  }
  ef::TensorView<float, 3> images(ef::Matrix<float>& m) const {
    return {m.data(), items_, m.rows() / items_, m.cols()};
  }
};

class GroupBackward : public Group {
 public:
  using Group::Group;
  void run(ef::Context& context) {
    norm_.forward(images(std::as_const(x_)), images(y_), context, &cache_);
    norm_.backward(images(std::as_const(dy_)), cache_, images(dx_), context);
  }
  Error error() const { return worse(error_of_y(), error_of_gradients()); }
};

const bool planned = [] {
  for (const grid::Images& size : grid::images) {
    const double array = bytes(size.batch * size.positions * size.channels);
    const auto dimensions = size.dimensions();
    Work work = {.name = "GroupNorm",
                 .shape = size.shape(),
                 .cost = {0, array, array},
                 .dimensions = {dimensions.begin(), dimensions.end()}};
    Entry<Group>(work, size).ours(&Group::forward, one_and_two_threads()).eigen(&Group::forward_by_eigen);
    work.name = "GroupNorm + backward";
    work.cost = {0, 3 * array, 3 * array};
    Entry<GroupBackward>(work, size)
        .ours(&GroupBackward::run, one_and_two_threads())
        .eigen(&GroupBackward::run_by_eigen);
  }
  return true;
}();

}  // namespace
