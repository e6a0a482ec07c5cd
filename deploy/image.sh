#!/bin/sh
# Make an image for Docker or Podman from a kit, without a registry of images: deploy/image.sh KIT.tar [APT-SOURCES]
# Debian's packages mmdebstrap and buildah do it, in a chroot: no daemon, no privileges beyond root's.
set -eu
cd "$(dirname "$0")/.."
kit=$1
sources=${2:-/etc/apt/sources.list.d/debian.sources}
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The base: Debian 12's required packages and Python. It keeps no package lists, and no address of the mirror.
mmdebstrap --quiet --variant=minbase --include=python3.11,python3.11-venv \
    --customize-hook='rm -rf "$1"/etc/apt/sources.list* "$1"/etc/hostname "$1"/etc/resolv.conf' \
    bookworm "$work/base.tar" - < "$sources"
base=$(buildah from scratch)
buildah add --quiet "$base" "$work/base.tar" /
buildah commit --quiet --rm "$base" localhost/ichscope-base

tar --extract --no-same-owner --file "$kit" --directory "$work"
folder=$(echo "$work"/ichscope-*)
tag=localhost/ichscope:${folder##*/ichscope-}
buildah build --quiet --format docker --build-arg BASE=localhost/ichscope-base \
    --file "$folder/deploy/Containerfile" --tag "$tag" "$folder"
mkdir -p build
buildah push --quiet "$tag" "docker-archive:build/${folder##*/}-image.tar:${tag#localhost/}"
echo "build/${folder##*/}-image.tar: load it with 'docker load' or 'podman load'"
