# Sourced by start.sh and the scripts beside it: finds what the project runs on and installs what is missing.
# After `need_node` the variable NODE holds a Node.js that is new enough, and PATH begins with its folder.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
state=$root/var
node_floor=22.19
node_private=26
# Daemons and logrotate live in sbin, which is not in every user's PATH.
export PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$(basename "$0"): $*"
  exit 1
}

# Whether the Node.js at $1 is new enough to run TypeScript as it stands.
node_is_new_enough() {
  "$1" -e '
    const [major, minor] = process.versions.node.split(".").map(Number)
    const [floorMajor, floorMinor] = process.argv[1].split(".").map(Number)
    process.exit(major > floorMajor || (major === floorMajor && minor >= floorMinor) ? 0 : 1)
  ' "$node_floor" 2>/dev/null
}

# One installer at a time: two terminals may call start.sh at once. The lock goes with the subshell that takes it.
with_install_lock() {
  mkdir -p "$state" && [ -w "$state" ] || die "$state can't be written: run it as the user that owns the checkout"
  (
    flock 9
    "$@"
  ) 9>"$state/install.lock"
}

need_node() {
  local machine package private
  if command -v node >/dev/null && node_is_new_enough "$(command -v node)"; then
    NODE=$(command -v node)
  else
    case "$(uname -m)" in
      x86_64) machine=x64 ;;
      aarch64) machine=arm64 ;;
      *) die "Node.js $node_floor or newer is needed and can't be installed for $(uname -m): install it and put it in PATH" ;;
    esac
    package=node-linux-$machine
    private=$state/node/node_modules/$package/bin
    if ! node_is_new_enough "$private/node"; then
      with_install_lock install_node "$package" "$private/node"
      node_is_new_enough "$private/node" || die "Node.js $node_floor or newer is needed, and $package@$node_private could not be installed from npm: see $state/install.log"
    fi
    NODE=$private/node
    PATH=$private:$PATH
  fi
  export NODE PATH
  # Type stripping costs start-up time only once per version of a file.
  export NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE:-$state/compile-cache}
}

install_node() {
  node_is_new_enough "$2" && return
  command -v npm >/dev/null || install_package npm npm
  say "installing a private Node.js $node_private into var/node (the one in PATH is missing or older than $node_floor)"
  npm install --no-save --ignore-scripts --prefix "$state/node" "$1@$node_private" >"$state/install.log" 2>&1
}

# The packages of package-lock.json, installed anew only when the lock file has changed.
need_modules() {
  modules_are_current || with_install_lock install_modules
  modules_are_current || die "the npm packages could not be installed: see $state/install.log"
}

modules_stamp() { sha256sum <"$root/package-lock.json"; }
modules_are_current() { [ "$(cat "$root/node_modules/.installed" 2>/dev/null)" = "$(modules_stamp)" ]; }

install_modules() {
  modules_are_current && return
  command -v npm >/dev/null || install_package npm npm
  say 'installing npm packages'
  (cd "$root" && npm ci --ignore-scripts) >"$state/install.log" 2>&1 && modules_stamp >"$root/node_modules/.installed"
}

# need_tool COMMAND PACKAGE: installs a Debian package when the command is missing.
need_tool() {
  find_tool "$1" || with_install_lock install_package "$1" "$2"
  find_tool "$1" || die "$1 is missing and could not be installed: run 'apt-get install $2' as root and try again"
}

find_tool() { command -v "$1" >/dev/null; }

install_package() {
  find_tool "$1" && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  say "installing $2"
  # The package's own service is not wanted: what we run, we start ourselves.
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && made=yes
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  export DEBIAN_FRONTEND=noninteractive
  {
    apt-get install -y --no-install-recommends "$2" || { apt-get update && apt-get install -y --no-install-recommends "$2"; }
  } >"$state/install.log" 2>&1 </dev/null
  [ -n "$made" ] && rm -f $policy
  return 0
}
