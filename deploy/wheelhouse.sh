#!/bin/sh
# Put the checkout, the wheels of build/wheels and the list of parts into one archive below build/ (`make wheelhouse`).
set -eu
cd "$(dirname "$0")/.."
kit=ichscope-$(.venv/bin/python -c 'import ichscope; print(ichscope.__version__)')
archive=$kit-py311-linux-x86_64.tar

rm -rf "build/$kit"
mkdir -p "build/$kit/wheels"
# What runs it, and nothing else: tests, training and measurements stay where it is made.
git ls-files -z -- . ':!.ci' ':!.github' ':!tests' ':!training' ':!export' ':!benchmarks' | tar --create --null --files-from - | tar --extract --directory "build/$kit"
ln build/wheels/*.whl "build/$kit/wheels"
cp build/sbom/sbom.cdx.json build/sbom/licences.md "build/$kit"
# Wheels are compressed already.
tar --directory build --owner root:0 --group root:0 --create --file "build/$archive" "$kit"
rm -rf "build/$kit"
(cd build && sha256sum "$archive" > "$archive.sha256")
echo "build/$archive"
