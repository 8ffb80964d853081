# SPDX-License-Identifier: MIT
# Asks the driver of a peer as bench/report/peer.cpp does:  cmake -DPROGRAM=<python3> -DROOT=<project> -DSCRATCH=<folder>
#   -P check_torch_peer.cmake
cmake_minimum_required(VERSION 3.25)

set(DRIVER torch_peer.py)
set(WORKS "product|3|5|7" "linear|2|3|5" "attention|5|5|4|4|8" "causal attention|5|5|4|4|8" "attention, decoding|1|7|4|2|8"
  "attention backward|5|5|4|4|8" "causal attention backward|5|5|4|4|8" "linear backward|2|3|5"
  "cascaded group attention|2|6|3|10|4|3|5|0|0" "cascaded group attention + backward|2|6|3|10|4|3|5|0|0" "LayerNorm|3|7"
  "LayerNorm + backward|3|7" "RMSNorm|3|7" "RMSNorm + backward|3|7" "softmax|3|7" "log-softmax|3|7" "ReLU|3|7" "GELU|3|7"
  "GELU (tanh)|3|7" "SiLU|3|7" "embedding|5|7|3" "cross entropy + gradient|3|7")
include("${CMAKE_CURRENT_LIST_DIR}/ask_peer.cmake")
