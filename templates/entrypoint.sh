#!/bin/sh
# Whether this container is a worker or launches: Dataflow starts both by the image's entry point. A worker is told its
# id and where its services are (`--id`, `--logging_endpoint` and others); Beam's boot reads one dash or two.
for word in "$@"; do
  case "$word" in
    --id | --id=* | -id | -id=* | --*_endpoint | --*_endpoint=* | -*_endpoint | -*_endpoint=*)
      exec "${TODOKE_BOOT:-/opt/apache/beam/boot}" "$@" ;;
  esac
done
exec "${TODOKE_LAUNCHER:-/opt/google/dataflow/python_template_launcher}" "$@"
