#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the example on a small text with a tiny model:  train_language_model.sh <program> <case>
set -eu

program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# Sentences that a byte-level model learns soon, and of which counting pairs of bytes knows little.
awk 'BEGIN { for (i = 0; i < 1500; i++) printf "number %d is followed by number %d, and so on\n", i, i + 1 }' >text.txt
tiny="--dim 16 --layers 1 --heads 2 --kv-heads 1 --hidden 32 --length 32 --batch 4 --learning-rate 0.01 --threads 1"

fail() {
  echo "FAILED: $1" >&2
  for file in out err; do echo "--- $file" >&2 && cat "$file" >&2; done
  exit 1
}
# run STATUS ARGUMENT...: the program ends with that status; its output is in out and err.
run() {
  expected=$1
  shift
  status=0
  "$program" "$@" >out 2>err || status=$?
  [ "$status" -eq "$expected" ] || fail "status $status instead of $expected for: $*"
}
# refuse STATUS MESSAGE ARGUMENT...: says so on stderr and leaves no checkpoint.
refuse() {
  expected_status=$1
  message=$2
  shift 2
  run "$expected_status" "$@"
  grep -qF -- "$message" err || fail "no '$message' for: $*"
  [ ! -e model.safetensors ] || fail "a checkpoint after an error"
}
below() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a + 0 < b + 0) }'; }

case $2 in
  help)
    run 0 --help
    for option in text steps batch length dim layers heads kv-heads hidden learning-rate seed threads checkpoint resume \
      prompt generate temperature profile help; do
      grep -q -- "^  --$option" out || fail "--help says nothing of --$option"
    done
    [ ! -s err ] || fail "--help writes to stderr"
    ;;

  command_line)
    refuse 2 "unknown option or missing value: '--stepz'" --stepz 3
    refuse 2 "unknown option or missing value: '--steps'" --steps
    refuse 2 "--steps: expected a number in 0 .. 1000000000, got '3x'" --steps 3x
    refuse 2 "--steps: expected a number in 0 .. 1000000000, got '-3'" --steps -3
    refuse 2 "--steps: expected a number in 0 .. 1000000000, got ''" --steps ''
    refuse 2 "--batch: expected a number in 1 .. 65536, got '0'" --batch 0
    refuse 2 "--threads: expected a number in 1 .. 1024, got '99999999999999999999'" --threads 99999999999999999999
    refuse 2 "--learning-rate: expected a number in 0 .. 10, got 'nan'" --learning-rate nan
    refuse 2 "--temperature: expected a number in 0 .. 100, got 'inf'" --temperature inf
    refuse 2 "--prompt: expected some text" --prompt ''
    refuse 2 "unexpected argument 'stray'" --steps 3 stray
    ;;

  files)
    : >empty.txt
    printf 'too short' >short.txt
    mkdir directory
    refuse 1 "cannot read 'missing.txt': No such file or directory" --text missing.txt --checkpoint model.safetensors
    refuse 1 "'empty.txt' is empty" --text text.txt empty.txt --checkpoint model.safetensors
    refuse 1 "too little text: expected at least 8193 bytes, got 9" --text short.txt --checkpoint model.safetensors
    refuse 1 "cannot read 'directory': it is a directory" --text directory --checkpoint model.safetensors
    refuse 1 "cannot save to 'nowhere/model.safetensors': there is no directory 'nowhere'" --text text.txt \
      --checkpoint nowhere/model.safetensors
    refuse 1 "cannot save to 'directory': it is a directory" --text text.txt --checkpoint directory
    refuse 1 "dim divisible by heads" --text text.txt --checkpoint model.safetensors --dim 16 --heads 3 --kv-heads 1
    refuse 1 "heads divisible by kv_heads" --text text.txt --checkpoint model.safetensors --heads 4 --kv-heads 3
    ;;

  learning)
    run 0 $tiny --text text.txt --steps 300 --generate 80 --prompt "number 7" --profile --checkpoint model.safetensors
    before=$(sed -n 's/.*bits per byte: \([0-9.]*\) before,.*/\1/p' out)
    after=$(sed -n 's/.*before, \([0-9.]*\) after training.*/\1/p' out)
    bigram=$(sed -n 's/.*bigram \([0-9.]*\),.*/\1/p' out)
    unigram=$(sed -n 's/.*unigram \([0-9.]*\),.*/\1/p' out)
    below "$after" "$before" && below "$after" "$bigram" && below "$bigram" "$unigram" || fail "not learnt"
    for word in prefill decoding 'model FLOPs utilisation' 'Linear backward' "number 7"; do
      grep -q -- "$word" out || fail "no '$word'"
    done
    grep -q 'step 300 of 300: loss' err || fail "no progress"
    ;;

  resume)
    run 0 $tiny --text text.txt --steps 4000 --generate 0 --checkpoint whole.safetensors
    sed -n 's/^\(step .* loss [0-9.]*\) .*/\1/p' err >whole.losses
    # Stopped by Ctrl-C as soon as there is something to see; gone on with another number of threads.
    "$program" $tiny --text text.txt --steps 4000 --generate 0 --checkpoint part.safetensors >out 2>err &
    while ! grep -q '^step' err; do
      kill -0 $! 2>/dev/null || fail "ended by itself"
      sleep 0.05
    done
    kill -INT $!
    status=0
    wait $! || status=$?
    [ "$status" -eq 130 ] || fail "status $status after Ctrl-C"
    grep -q "stopped .* of 4000; saved to 'part.safetensors', go on with --resume 'part.safetensors'" out ||
      fail "does not say where it saved"
    sed -n 's/^\(step .* loss [0-9.]*\) .*/\1/p' err >part.losses
    run 0 --text text.txt --resume part.safetensors --generate 0 --threads 2
    sed -n 's/^\(step .* loss [0-9.]*\) .*/\1/p' err >>part.losses
    cmp whole.losses part.losses || fail "other losses"
    [ "$(wc -l <whole.losses)" -eq 20 ] || fail "expected 20 losses"
    cmp whole.safetensors part.safetensors || fail "another model"
    # A run that is done is loaded, judged, and writes.
    run 0 --text text.txt --resume part.safetensors --generate 20 --temperature 0
    grep -q 'the model goes on' out || fail "does not write"
    ;;

  contradictions)
    run 0 $tiny --text text.txt --steps 3 --generate 0 --checkpoint good
    refuse 1 "--dim 32 contradicts 'good', which was begun with 16" --text text.txt --resume good --dim 32
    refuse 1 "'good' was begun with another text" --text text.txt text.txt --resume good
    refuse 1 "no_such_file" --text text.txt --resume no_such_file
    head -c 3000 good >cut
    refuse 1 "cut" --text text.txt --resume cut
    sed 's/"hidden":"32"/"hidden":"64"/' good >other
    refuse 1 "other" --text text.txt --resume other
    sed 's/"layers":"1"/"layers":"9"/' good >other
    refuse 1 "'other' holds fewer numbers than the model that it describes" --text text.txt --resume other
    sed 's/"step":"3"/"step":"7"/' good >other
    refuse 1 "'other': expected a step in 0 .. 3, got 7" --text text.txt --resume other
    sed 's/train_language_model 1/train_language_model 2/' good >other
    refuse 1 "expected format" --text text.txt --resume other
    run 0 --text text.txt --resume good --dim 16 --generate 0
    ;;

  *)
    echo "no such case: $2" >&2
    exit 2
    ;;
esac
