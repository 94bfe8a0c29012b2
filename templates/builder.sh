#!/bin/sh
# Says what builds and pushes images here: docker, where its daemon answers, else buildah. Exits 1 where neither is here.
if docker version >/dev/null 2>&1; then
  echo docker
elif command -v buildah >/dev/null 2>&1; then
  echo buildah
else
  echo "Neither docker with its daemon nor buildah is here, so no image can be built" >&2
  exit 1
fi
