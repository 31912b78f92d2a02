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
    local row
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
