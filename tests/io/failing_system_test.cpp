// SPDX-License-Identifier: MIT

#include <eigenformer/io/safetensors.hpp>
#include <eigenformer/io/safetensors_folder.hpp>
#include <eigenformer/io/safetensors_writer.hpp>

#include "support/allocation.hpp"
#include "support/file_faults.hpp"
#include "support/safetensors_files.hpp"

#include <gtest/gtest.h>

#include <filesystem>

// Every request for memory and every call of the system about a file refused in turn: each is a fault, nothing leaks and
// nothing is left behind.
namespace {

using namespace eigenformer;
using How = support::FileFailure::How;

constexpr std::size_t elements = 10'007;  // more than one piece of the reading buffer

/// A single file, a folder of two files, and what they hold.
class Files : public support::TemporaryDirectory {
 public:
  Files() {
    for (std::size_t i = 0; i < elements; ++i) values_.push_back(static_cast<float>(i));
    write("model.safetensors", {"a", "b"});
    std::filesystem::create_directory(*this / "sharded");
    write("sharded/1.safetensors", {"a"});
    write("sharded/2.safetensors", {"b"});
    std::ofstream(*this / "sharded/model.safetensors.index.json")
        << R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})";
  }
  const std::vector<float>& values() const { return values_; }

 private:
  void write(const std::string& path, const std::vector<std::string>& names) {
    SafetensorsWriter writer;
    for (const std::string& name : names) writer.add<float>(name, {static_cast<Index>(elements)}, values_);
    writer.write(*this / path);
  }
  std::vector<float> values_;
};

int lowest_free_descriptor() {
  const int descriptor = ::open("/dev/null", O_RDONLY);
  ::close(descriptor);
  return descriptor;
}

/// Opens, checks and reads all, into memory that is there already.
template <class Source, class Path>
Result<void> read_all(const Path& path, std::span<float> room) {
  const Shape shape = {static_cast<Index>(elements)};
  const auto source = Source::try_open(path);
  if (!source) return source.fault();
  for (const char* name : {"a", "b"}) {
    if (Result<void> good = source->template try_check<float>(name, shape); !good) return good;
    if (Result<void> done = source->template try_read<float>(name, shape, room); !done) return done;
  }
  return {};
}

template <class Source>
std::size_t refuse_each_allocation(const std::filesystem::path& path) {
  std::vector<float> room(elements);
  for (std::size_t which = 0;; ++which) {
    const int descriptor = lowest_free_descriptor();
    const support::AllocationCounter counter;
    Result<void> done;
    bool happened = false;
    {
      const support::AllocationFailure failure(which);
      done = read_all<Source>(path, room);
      happened = failure.happened();
    }
    const std::ptrdiff_t outstanding = counter.outstanding();
    EXPECT_EQ(outstanding, 0) << which;
    EXPECT_EQ(lowest_free_descriptor(), descriptor) << which;
    EXPECT_EQ(static_cast<bool>(done), !happened) << which;
    if (!happened || which > 100) return which;
    EXPECT_EQ(done.fault().rule, 43) << done.fault().reason.view();
  }
}

TEST(FailingSystem, every_refused_allocation_is_a_fault_and_leaks_nothing) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  const Files files;
  EXPECT_EQ(refuse_each_allocation<SafetensorsFile>(files / "model.safetensors"), 1U);
  // The index, two tables of its shards, the list of files, two headers.
  EXPECT_EQ(refuse_each_allocation<SafetensorsFolder>(files / "sharded"), 6U);
}

template <class Source>
std::size_t disturb_each_call(const Files& files, const std::filesystem::path& path, How how) {
  std::vector<float> room(elements);
  for (std::size_t which = 0;; ++which) {
    room.assign(elements, -1.0F);
    const int descriptor = lowest_free_descriptor();
    Result<void> done;
    bool happened = false;
    {
      const support::FileFailure failure(which, how);
      done = read_all<Source>(path, room);
      happened = failure.happened();
    }
    EXPECT_EQ(lowest_free_descriptor(), descriptor) << which;
    if (!happened || which > 1000) {
      EXPECT_TRUE(done);
      return which;
    }
    if (how == How::interrupted || how == How::one_byte) {
      EXPECT_TRUE(done) << which << done.fault().reason.view();
      EXPECT_EQ(room, files.values()) << which;
    } else if (how == How::error) {
      EXPECT_FALSE(done) << which;
      if (!done) {
        EXPECT_EQ(done.fault().system_error, EIO) << which;
      }
    } else if (!done) {
      EXPECT_EQ(done.fault().rule, 34) << which;
    }
  }
}

TEST(FailingSystem, every_failing_call_of_the_system_is_a_fault) {
  if (!support::FileFailure::available()) GTEST_SKIP() << "the calls cannot be replaced on this system";
  const Files files;
  for (const How how : {How::error, How::interrupted, How::one_byte, How::at_the_end}) {
    // The file: open, fstat, length, header, and each tensor in three pieces when it is checked, in one when it is read.
    const std::size_t file = disturb_each_call<SafetensorsFile>(files, files / "model.safetensors", how);
    EXPECT_EQ(file, 12U);
    const std::size_t folder = disturb_each_call<SafetensorsFolder>(files, files / "sharded", how);
    EXPECT_EQ(folder, 21U);
  }
}

TEST(FailingSystem, a_write_that_fails_leaves_the_old_file_alone) {
  if (!support::FileFailure::available()) GTEST_SKIP() << "the calls cannot be replaced on this system";
  const Files files;
  const support::Bytes before = support::read_file(files / "model.safetensors");
  const std::vector<float> other(17, 3.0F);
  SafetensorsWriter writer;
  writer.add<float>("c", {17}, other);
  writer.write(files / "expected");
  const support::Bytes expected = support::read_file(files / "expected");
  for (const How how : {How::error, How::interrupted, How::one_byte}) {
    std::size_t calls = 0;
    for (bool happened = true; happened; ++calls) {
      support::write_file(files / "model.safetensors", before);
      Result<void> done;
      {
        const support::FileFailure failure(calls, how);
        done = writer.try_write(files / "model.safetensors");
        happened = failure.happened();
      }
      EXPECT_EQ(static_cast<bool>(done), !happened || how != How::error) << calls;
      EXPECT_EQ(support::read_file(files / "model.safetensors"), done ? expected : before) << calls;
      const auto entries = std::filesystem::directory_iterator(files.path());
      EXPECT_EQ(std::distance(begin(entries), end(entries)), 3) << calls;
    }
    // open, length, header, data, fsync, rename; a piece more where one was cut.
    EXPECT_EQ(calls, 7U) << static_cast<int>(how);
  }
}

// Writing takes memory for the header in many small pieces: std::bad_alloc passes, or it is a fault.
TEST(FailingSystem, a_writer_without_memory_leaves_the_old_file_alone) {
  if (!support::AllocationCounter::available()) GTEST_SKIP() << support::AllocationCounter::why_not();
  const Files files;
  const support::Bytes before = support::read_file(files / "model.safetensors");
  const std::vector<float> other(17, 3.0F);
  SafetensorsWriter writer;
  writer.add<float>("a_name_that_is_longer_than_a_small_string", {17}, other);
  const std::filesystem::path path = files / "model.safetensors";
  bool happened = true;
  for (std::size_t which = 0; happened && which < 1000; ++which) {
    const support::AllocationCounter counter;
    bool done = false;
    {
      const support::AllocationFailure failure(which);
      try {
        done = static_cast<bool>(writer.try_write(path));
      } catch (const std::bad_alloc&) {
        done = false;
      }
      happened = failure.happened();
    }
    const std::ptrdiff_t outstanding = counter.outstanding();
    EXPECT_EQ(done, !happened) << which;
    EXPECT_EQ(outstanding, 0) << which;
    if (happened) {
      EXPECT_EQ(support::read_file(path), before) << which;
    }
  }
  EXPECT_FALSE(happened);
  EXPECT_EQ(SafetensorsFile(path).size(), 1U);
}

}  // namespace
