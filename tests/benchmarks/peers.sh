#!/bin/sh
# An environment of their own for bergson and dattri, which bench_representations.py then times: sh tests/benchmarks/peers.sh
# bergson asks for torchvision and torchaudio, whose published builds do not load beside a CPU build of torch, and uses
# neither: they are taken out again.
set -e
peers="$(cd "$(dirname "$0")/../.." && pwd)/build/peers"
python3 -m venv "$peers"
"$peers/bin/pip" install -q torch==2.13.0  # first, so that the others find it
"$peers/bin/pip" install -q torch==2.13.0 transformers==5.23.0 peft==0.21.2 bergson==2.5.1 dattri==0.3.0
"$peers/bin/pip" uninstall -q -y torchvision torchaudio
