#!/usr/bin/env bash
# Runs the whole pipeline of mta-tracking on this machine.
#
#   ./start.sh [start]     install what is missing, start everything, stay in the foreground (Ctrl-C stops it)
#   ./start.sh --detach    the same, but return once everything is up
#   ./start.sh status      what runs, where it listens, how it is
#   ./start.sh stop        finish what was accepted and stop
#   ./start.sh sample      send a sample mail through the wrapper
#   ./start.sh --check     look at the settings, start nothing
#   ./start.sh --help      all options
#
# Settings come from config/mta-tracking.yaml when it exists, else from config/mta-tracking.example.yaml, with which
# nothing leaves the machine.
set -u
cd "$(dirname "$0")" || exit 1
. scripts/environment.sh
need_node
need_modules
exec "$NODE" scripts/pipeline.ts "$@"
