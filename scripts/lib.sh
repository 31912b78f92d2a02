# What the scripts share. To be sourced, not run.
# shellcheck shell=bash

# complain TEXT...: one line on stderr, after the name of the script.
complain() {
    echo "scripts/${0##*/}: $*" >&2
}

require_cargo() {
    if ! command -v cargo >/dev/null; then
        complain "cargo is missing; install Rust, see https://rustup.rs"
        return 1
    fi
}

# missing_packages COMMAND:PACKAGE...: the Debian packages of the commands that are missing, one a line.
missing_packages() {
    local row PATH=$PATH:/usr/sbin
    for row in "$@"; do
        command -v "${row%%:*}" >/dev/null || echo "${row#*:}"
    done
}

# install_packages PACKAGE...: says so, and installs them. What apt-get says is shown only if it fails.
install_packages() {
    if ! command -v apt-get >/dev/null; then
        complain "there is no apt-get here; install what Debian calls $*"
        return 1
    fi
    echo "installing $*"
    # A function that `if` runs does not stop at an error by itself.
    quietly as_root apt-get update -qq || return
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" || return
}

# can_be_root: whether as_root has a way.
can_be_root() {
    [[ $(id -u) == 0 ]] || command -v sudo >/dev/null
}

# take_out COMMAND PACKAGE DIRECTORY: one program of a Debian package, into the directory. The package is not installed: it
# would start a service.
take_out() {
    echo "taking $1 out of Debian's $2, which is not installed"
    local work
    work=$(mktemp -d) || return
    # A function that `if` runs does not stop at an error by itself.
    if ! (cd "$work" && apt-get download -qq "$2" >/dev/null 2>&1); then
        quietly as_root apt-get update -qq && (cd "$work" && quietly apt-get download -qq "$2")
    fi && mkdir -p "$3" && dpkg-deb --fsys-tarfile "$work"/*.deb | tar -xO "./usr/bin/$1" >"$3/$1.new" &&
        chmod 755 "$3/$1.new" && mv "$3/$1.new" "$3/$1"
    local status=$?
    rm -rf "$work"
    return $status
}

# ensure COMMAND:PACKAGE...: installs what is missing of them.
ensure() {
    local packages
    mapfile -t packages < <(missing_packages "$@")
    [[ ${#packages[@]} == 0 ]] || install_packages "${packages[@]}"
}

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        complain "this needs root: $*"
        return 1
    fi
}

quietly() {
    local output
    if ! output=$("$@" 2>&1); then
        echo "$output" >&2
        return 1
    fi
}
