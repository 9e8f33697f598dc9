#!/usr/bin/env bash
# npm run bench [NAME…]: runs bench/NAME.ts, or all of them. Figures are ratios within one run.
set -u
. "$(dirname "$0")/environment.sh"
cd "$root" || exit 1
need_node
need_modules
need_tool redis-server redis-server
need_tool smtp-sink postfix
need_tool wrk wrk
need_tool pflogsumm pflogsumm
names=("$@")
if [ ${#names[@]} = 0 ]; then
  for file in bench/*.ts; do names+=("$(basename "$file" .ts)"); done
fi
for name in "${names[@]}"; do
  [ -f "bench/$name.ts" ] || die "no bench/$name.ts; there are: $(cd bench && ls -- *.ts | sed 's/\.ts$//' | tr '\n' ' ')"
  printf '== %s\n' "$name"
  "$NODE" "bench/$name.ts" || exit 1
done
