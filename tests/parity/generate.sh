#!/bin/sh
# Makes what the tests of the built-in engine compare with, in target/parity: trained models and
# single operators with the results of ONNX Runtime, and models in LightGBM's and XGBoost's own
# formats with the predictions of these libraries. Needs Python 3.11 or newer and a package index.
#
#   tests/parity/generate.sh [SEED]
set -eu
export PYTHONDONTWRITEBYTECODE=1
here=$(cd "$(dirname "$0")" && pwd)
target="$here/../../target"
venv="$target/parity-venv"
out="$target/parity"
mkdir -p "$target"
if [ ! -x "$venv/bin/python" ] || ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/requirements.txt"
fi
rm -rf "$out"
"$venv/bin/python" "$here/make_models.py" "${1:-7}" "$out"
"$venv/bin/python" "$here/make_operators.py" "${1:-7}" "$out"
"$venv/bin/python" "$here/make_boosted.py" "${1:-7}" "$out"
