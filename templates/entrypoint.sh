#!/bin/sh
# What this container is. With `serve` as the first word it is a service: `serve collect FLAGS…` or `serve engage FLAGS…`,
# or `serve FLAGS…` with the name in TODOKE_SERVICE. It listens at the port that the platform says in PORT.
#
# Else it is a worker or launches: Dataflow starts both by the image's entry point. A worker is told its id and where its
# services are (`--id`, `--logging_endpoint` and others); Beam's boot reads one dash or two.
if [ "${1:-}" = serve ]; then
  shift
  case "${1:-}" in
    collect | engage) service=$1 && shift ;;
    *) service=${TODOKE_SERVICE:-} ;;
  esac
  case "$service" in
    collect | engage) exec python -m "services.$service" --listen "0.0.0.0:${PORT:-8600}" --log-format=json "$@" ;;
  esac
  echo "serve: name collect or engage, after the word or in TODOKE_SERVICE" >&2
  exit 2
fi
for word in "$@"; do
  case "$word" in
    --id | --id=* | -id | -id=* | --*_endpoint | --*_endpoint=* | -*_endpoint | -*_endpoint=*)
      exec "${TODOKE_BOOT:-/opt/apache/beam/boot}" "$@" ;;
  esac
done
exec "${TODOKE_LAUNCHER:-/opt/google/dataflow/python_template_launcher}" "$@"
