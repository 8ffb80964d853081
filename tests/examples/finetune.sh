#!/bin/bash
# SPDX-License-Identifier: MIT
# A checkpoint of train_language_model adapted to another text in all ways, in small: each has its lines, its file and its
# points, two runs agree, and bad calls are refused.
#   finetune.sh <program> <train_language_model>
set -u
program=$1
train=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
fail() { echo "$*" >&2; exit 1; }

awk 'BEGIN { for (i = 0; i < 900; i++) printf "number %d is followed by number %d, and so on\n", i, i + 1 }' >numbers.txt
awk 'BEGIN { for (i = 0; i < 900; i++) printf "%d sheep jump over the fence, %d stay\n", i % 7, i % 11 }' >sheep.txt
"$train" --dim 16 --layers 2 --heads 2 --kv-heads 1 --hidden 32 --length 32 --batch 4 --learning-rate 0.01 --threads 1 \
  --text numbers.txt --steps 60 --generate 0 --checkpoint base.safetensors >trained 2>&1 || fail "no base: $(cat trained)"

"$program" base.safetensors 30 picture.svg sheep.txt >table 2>notes || fail "ended with $?: $(cat notes)"
ways=("full" "LoRA r=1 q,v" "LoRA r=2 q,v" "LoRA r=4 q,v" "LoRA r=8 q,v" "LoRA r=1 all" "LoRA r=2 all" "LoRA r=4 all"
  "LoRA r=8 all" "prefix" "prefix, MLP" "LoRA r=4 all + prefix")
for way in "${ways[@]}"; do
  pattern=${way//+/\\+}
  grep -qE "^$pattern +trainable params: [1-9][0-9]* \|\| all params: [0-9]+ \|\| trainable%: [0-9]+\.[0-9]{4}$" table ||
    fail "no share of '$way': $(cat table)"
  grep -qE "^$pattern +[2358]e-0[234] +[0-9]+\.[0-9]{3} +[0-9.]+ +[0-9.]+( +[1-9][0-9]*){3}$" table ||
    fail "no costs of '$way': $(cat table)"
done
# bits WAY, then gradients, optimiser and file of it.
column() { grep -E "^$1 +[2358]e-0[234] " table | sed -E "s/^$1 +//" | awk -v n="$2" '{ print $n }'; }
before=$(sed -nE 's/^base .* ([0-9.]+) bits per byte of the text$/\1/p' table)
for way in "full" "LoRA r=8 all" "LoRA r=1 q,v"; do
  awk -v a="$(column "$way" 2)" -v b="$before" 'BEGIN { exit !(a != "" && a + 0 < b + 0) }' || fail "'$way' learns nothing: $(cat table)"
done
# A and B of query [16, 16] and value [8, 16] in 2 layers, four bytes each: 2 (16 + 16 + 16 + 8) 4.
[ "$(column "LoRA r=1 q,v" 5)" = 448 ] || fail "gradients of rank 1 have not 448 bytes: $(cat table)"
[ $((5 * ($(column "LoRA r=1 q,v" 5) + $(column "LoRA r=1 q,v" 6)))) -lt $((2 * ($(column "full" 5) + $(column "full" 6)))) ] ||
  fail "LoRA takes more than 40% of the memory: $(cat table)"
# What made a prefix is folded away.
[ "$(column "prefix" 7)" = "$(column "prefix, MLP" 7)" ] || fail "prefixes of different size: $(cat table)"
[ "$(ls picture | wc -l)" = 12 ] || fail "not a file of each way: $(ls picture)"
for name in "the base" r1-qv r8-all; do grep -q "^--- $name goes on$" table || fail "$name writes nothing: $(cat table)"; done
says() { sed -n "/^--- $1 goes on$/,/^---/p;/^drawn/q" table | sed '/^---/d;/^drawn/d;/^$/d'; }
[ -n "$(says r8-all)" ] && [ "$(says r8-all)" != "$(says "the base")" ] || fail "the adapter changes nothing: $(cat table)"
[ "$(grep -c "<polyline" picture.svg)" = 13 ] || fail "expected 7 lines of loss and 6 of speed"
grep -q "nan\|inf" picture.svg && fail "a number of the picture is none"
"$program" base.safetensors 30 picture.svg sheep.txt >again 2>notes || fail "ended with $? at the second time"
learnt() { grep -E " [2358]e-0[234] " "$1" | sed -E 's/^(.* [2358]e-0[234] +[0-9.]+).*/\1/'; sed -n '/^--- /,/^drawn/p' "$1"; }
[ "$(learnt table)" = "$(learnt again)" ] || fail "not the same twice"

refuse() {
  message=$1
  shift
  "$program" "$@" >text 2>&1 && fail "takes: $*"
  grep -qF -- "$message" text || fail "no '$message' for: $*, but $(cat text)"
}
refuse "usage: finetune CHECKPOINT"
refuse "usage: finetune CHECKPOINT" base.safetensors 0
refuse "missing.safetensors" missing.safetensors 2 other.svg sheep.txt
refuse "the checkpoint has learnt from that text already" base.safetensors 2 other.svg numbers.txt
refuse "cannot write 'none/picture.svg'" base.safetensors 2 none/picture.svg sheep.txt
printf 'not a checkpoint' >short.safetensors
refuse "short.safetensors" short.safetensors 2 other.svg sheep.txt
"$program" --help >text || fail "--help ends with $?"
grep -q "^usage: " text || fail "does not say how it is called"
echo "as it should"
