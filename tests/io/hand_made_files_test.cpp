// SPDX-License-Identifier: MIT

#include "io/hand_made_files.hpp"

#include <eigenformer/io/safetensors.hpp>
#include <eigenformer/io/safetensors_folder.hpp>

#include "reference/safetensors.hpp"
#include "reference/shard_index.hpp"
#include "support/allocation.hpp"
#include "support/guarded_bytes.hpp"

#include <gtest/gtest.h>

#include <filesystem>

// What broke other readers of model files, by the numbers L1 to L24 that comments of these tests use, and where it is tried
// on this one. The tests lie in tests/io/ unless said otherwise.
//   L1  length believed before it is checked        SafetensorsRules.r03_to_r06; hand-made rules 3 to 6 and 43
//   L2  size from shape, bytes from offsets         SafetensorsRules.r27; hand-made rule 27
//   L3  product wraps to zero                       SafetensorsRules.r23; hand-made rules 23, 24
//   L4  negative or reversed offsets                SafetensorsRules.r25, r26; hand-made rules 25, 26, 28
//   L5  unknown dtype skips the checks              SafetensorsRules.r20; hand-made rule 20
//   L6  many tensors on one range                   SafetensorsRules.r29; SafetensorsHeader.takes_no_more_memory_...
//   L7  holes and trailing bytes                    SafetensorsRules.r29, r30; hand-made rules 29, 30
//   L8  duplicate names                             SafetensorsRules.r14; ShardIndex.names_are_unique_after_unescaping
//   L9  empty tensors                               SafetensorsRules.r31; hand-made rule 31
//   L10 deep nesting                                SafetensorsRules.r12; hand-made rules 12, 13, 45
//   L11 names of shards leave the folder            InputDirectory.*; SafetensorsFolder.*; hand-made rules 46 to 48
//   L12 file cut short under a mapping              hand-made rules 34, 36; SafetensorsParser.judges_every_prefix
//   L13 unaligned tensors                           Safetensors.reads_tensors_at_every_alignment; hand-made rule 37
//   L14 asserts gone with NDEBUG                    all of these, in the Release build, which has NDEBUG
//   L15 count x size overflows                      hand-made rules 23, 24; tests/fuzz under -fsanitize=integer
//   L16 division by a zero dimension                SafetensorsRules.r23, zero in each place
//   L17 limits that are none                        here, memory of each file; tests/fuzz, a second for each input
//   L18 data read as another type                   Safetensors.wants_the_shape_and_type_...; hand-made rule 42
//   L19 memory behind the buffer                    here, a page behind each file that nobody may touch
//   L20 saved state believed when it is read        SafetensorsWriter.refuses_what_the_reader_would_...; files we write have
//                                                   no reader but this one
//   L21 another reader to fall back to              Safetensors.refuses_pickles_and_archives
//   L22 infinities and NaN                          Safetensors.finds_what_is_not_finite_...; Checkpoint.a_value_that_...
//   L23 hardening made it slow                      bench/io/safetensors_bench.cpp, open_tensors
//   L24 a sibling that was never hardened           tests/layering/check.cmake, one way in
namespace {

using namespace eigenformer;
using hand_made::Table;

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}
template <class Source>
FileFault fault_of(const Result<Source>& result) {
  return result ? FileFault{.rule = hand_made::accepted, .position = 0, .tensor = {}, .reason = {}} : result.fault();
}

/// Each tensor that has a type of ours, as itself.
void read_everything(const SafetensorsFile& file) {
  for (const std::string& name : file.names()) {
    const SafetensorsEntry entry = *file.find(name);
    const bool read = detail::with_stored_type(entry.dtype, true, [&]<class Stored>() {
      const auto size = static_cast<std::size_t>(entry.shape.size());
      const std::unique_ptr<Stored[]> room(new Stored[size]());
      const Result<void> done = file.try_read<Stored>(name, entry.shape, {room.get(), size});
      return done || done.fault().rule == 39;
    });
    EXPECT_TRUE(read) << name;
  }
}

// Through memory and through a real file, with the same fault, and with the verdict of the plain reader.
TEST(HandMadeFiles, are_judged_by_their_rule_from_memory_and_from_disk) {
  const support::TemporaryDirectory directory;
  for (const hand_made::File& file : Table().files) {
    SCOPED_TRACE("rule " + std::to_string(file.rule) + ": " + file.name);
    const support::GuardedBytes bytes(file.bytes);
    write(directory / "f", file.bytes);
    const support::AllocationCounter counter;
    const Result<SafetensorsFile> opened = SafetensorsFile::try_open(bytes.span(), file.limits);
    const std::size_t allocated = counter.bytes();
    if (support::AllocationCounter::available()) {
      EXPECT_LE(allocated, file.bytes.size());  // L17
    }
    if (opened) read_everything(*opened);
    const FileFault memory = fault_of(opened);
    const FileFault disk = fault_of(SafetensorsFile::try_open(directory / "f", file.limits));
    EXPECT_EQ(memory.rule, file.verdict) << memory.reason.view();
    EXPECT_EQ(disk.rule, memory.rule);
    EXPECT_EQ(disk.position, memory.position);
    EXPECT_EQ(disk.reason.view(), memory.reason.view());
    EXPECT_LE(memory.position, file.bytes.size());
    if (file.position) {
      EXPECT_EQ(memory.position, *file.position);
    }
    if (file.tensor && !file.tensor->empty()) {
      EXPECT_EQ(memory.tensor.view(), *file.tensor);
    }
    if (file.is_for_everyone()) {
      EXPECT_EQ(reference::is_safetensors(file.bytes), file.verdict == hand_made::accepted);
    }
  }
}

TEST(HandMadeFiles, folders_are_judged_by_their_rule) {
  for (const hand_made::Folder& folder : Table().shards) {
    SCOPED_TRACE("rule " + std::to_string(folder.rule) + ": " + folder.name);
    const support::TemporaryDirectory directory;
    write(directory / "model.safetensors.index.json", folder.index);
    for (const auto& [name, bytes] : folder.files) write(directory / name, bytes);
    const FileFault fault = fault_of(SafetensorsFolder::try_open(directory.path()));
    EXPECT_EQ(fault.rule, folder.verdict) << fault.reason.view();
    if (folder.position) {
      EXPECT_EQ(fault.position, *folder.position);
    }
    if (folder.tensor && !folder.tensor->empty()) {
      EXPECT_EQ(fault.tensor.view(), *folder.tensor);
    }
    EXPECT_EQ(reference::is_sharded_checkpoint(folder.index, folder.files), folder.verdict == hand_made::accepted);
  }
}

TEST(HandMadeFiles, there_are_three_and_more_for_each_rule) {
  const Table table;
  std::map<int, int> count;
  std::map<int, int> refused;
  for (const hand_made::File& file : table.files) {
    ++count[file.rule];
    refused[file.rule] += file.verdict != hand_made::accepted ? 1 : 0;
  }
  for (const hand_made::Folder& folder : table.shards) {
    ++count[folder.rule];
    refused[folder.rule] += folder.verdict != hand_made::accepted ? 1 : 0;
  }
  for (int rule = 1; rule <= 48; ++rule) {
    if ((rule >= 34 && rule <= 44) || rule == 47) continue;  // hand_made_reading_test.cpp
    EXPECT_GE(count[rule], 3) << rule;
    const bool forbids_nothing = rule == 18 || rule == 32 || rule == 33;
    EXPECT_GE(refused[rule], forbids_nothing ? 0 : 2) << rule;
    EXPECT_GE(count[rule] - refused[rule], rule == 1 ? 0 : 1) << rule;
  }
  const std::map<int, int> expected = {
      {1, 3},  {2, 3},  {3, 3},  {4, 4},  {5, 4},  {6, 3},  {7, 7},  {8, 5},   {9, 6},  {10, 8}, {11, 7},  {12, 5},
      {13, 4}, {14, 6}, {15, 8}, {16, 6}, {17, 7}, {18, 3}, {19, 7}, {20, 13}, {21, 7}, {22, 6}, {23, 5},  {24, 5},
      {25, 8}, {26, 4}, {27, 6}, {28, 4}, {29, 7}, {30, 4}, {31, 5}, {32, 3},  {33, 3}, {45, 9}, {46, 14}, {48, 7}};
  EXPECT_EQ(count, expected);
  EXPECT_EQ(table.files.size(), 179U);
  EXPECT_EQ(table.shards.size(), 30U);
}

}  // namespace
