# shellcheck shell=bash
# What scripts/demo, scripts/test and scripts/bench share: a Python, a .venv, what goes into it.
# Written for bash 3.2 and later, because macOS ships that one (macOS itself is untested).
# Everything said here goes to stderr: the scripts' own output stays clean.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
VENV=$ROOT/.venv
LOCK=$ROOT/.venv.lock
LOG=$VENV/install.log
# Used by the scripts that source this file.
# shellcheck disable=SC2034
PYTHON=$VENV/bin/python

# Modules from elsewhere, or an install outside .venv, would make this checkout a different one.
unset PYTHONHOME PYTHONPATH
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1

say() {
    printf '==> %s\n' "$*" >&2
}

die() {
    printf '%s: error: %s\n' "${0##*/}" "$1" >&2
    shift
    local hint
    for hint in "$@"; do
        printf 'hint: %s\n' "$hint" >&2
    done
    exit 1
}

# Prints "3.12" and the missing modules of the interpreter $1, or fails if it does not run.
# A name on the PATH proves nothing: version managers put names there for versions not in use.
describe_python() {
    "$1" - 2>/dev/null <<'PYTHON'
import sys

missing = []
for name in ("ensurepip", "sqlite3", "ssl", "venv"):
    try:
        __import__(name)
    except ImportError:
        missing.append(name)
sys.stdout.write(" ".join(["%d.%d" % sys.version_info[:2]] + missing) + "\n")
PYTHON
}

# Sets FOUND to a complete Python 3.11 to 3.13, or says what is missing and ends the script.
find_python() {
    local candidate description version lacking seen='' incomplete='' incomplete_version=''
    for candidate in python3.13 python3.12 python3.11 python3; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        description=$(describe_python "$candidate") || continue
        version=${description%% *}
        lacking=${description#"$version"}
        case $version in
        3.11 | 3.12 | 3.13)
            if [ -z "$lacking" ]; then
                FOUND=$candidate
                return
            fi
            if [ -z "$incomplete" ]; then
                incomplete="$candidate (Python $version) is here, but without:$lacking"
                incomplete_version=$version
            fi
            ;;
        *) seen="$seen $candidate is Python $version;" ;;
        esac
    done
    if [ -n "$incomplete" ]; then
        give_up "$incomplete" \
            "on Debian or Ubuntu: sudo apt-get install python$incomplete_version-venv" \
            "elsewhere: install a complete Python $incomplete_version, with SSL and SQLite"
    fi
    give_up "no Python 3.11, 3.12 or 3.13 on the PATH.${seen:+ Found:$seen not supported.}" \
        "on Debian 12 or Ubuntu 24.04: sudo apt-get install python3 python3-venv" \
        "on macOS: brew install python@3.13"
}

# Whether .venv has a supported Python and pip that run, and was made for this very folder.
venv_works() {
    local made_for
    [ -f "$VENV/pyvenv.cfg" ] || return 1
    made_for=$(sed -n 's|^command = .* -m venv[^/]*\(/.*\)$|\1|p' "$VENV/pyvenv.cfg")
    [ -z "$made_for" ] || [ "$made_for" -ef "$VENV" ] || return 1
    "$PYTHON" -c 'import pip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
        >/dev/null 2>&1
}

# Prints what an installation depends on; another value means that it has to be made again.
fingerprint() {
    "$PYTHON" - "$1" "$ROOT/pyproject.toml" "$ROOT/scripts/constraints.txt" 2>/dev/null <<'PYTHON'
import hashlib
import sys
from pathlib import Path

digest = hashlib.sha256("\0".join([sys.version, *sys.argv]).encode())
for name in sys.argv[2:]:
    digest.update(b"\0" + Path(name).read_bytes())
print(digest.hexdigest())
PYTHON
}

# Whether .venv already holds the extra $1. The stamp is written last, so an interrupted
# installation never looks complete; dev contains demo.
holds_extra() {
    local extra
    venv_works || return 1
    for extra in dev "$1"; do
        if [ -f "$VENV/.installed-$extra" ] &&
            [ "$(cat "$VENV/.installed-$extra")" = "$(fingerprint "$extra")" ]; then
            return 0
        fi
    done
    return 1
}

# Takes over the lock of a dead process: its set-up was cut off, so .venv cannot be trusted.
# Of several that try, the last to write has the lock; the others find a live holder.
take_over() {
    printf '%s\n' $$ >"$LOCK.$$"
    mv -f "$LOCK.$$" "$LOCK"
    sleep 1
    [ "$(cat "$LOCK")" = $$ ] || return 1
    say "the last set-up was interrupted: making .venv anew"
    rm -rf "$VENV"
}

# Takes the lock; waits while another live set-up of this checkout holds it.
take_lock() {
    local holder waited=0
    while ! (set -o noclobber && printf '%s\n' $$ >"$LOCK") 2>/dev/null; do
        [ -w "$ROOT" ] || die "cannot write to $ROOT" "use a checkout of your own"
        holder=$(cat "$LOCK" 2>/dev/null || true)
        if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null && take_over; then
            return
        fi
        [ "$waited" -ne 1 ] || say "waiting for another set-up of this checkout (process $holder)"
        waited=$((waited + 1))
        [ "$waited" -le 600 ] || die "waited 10 minutes for process $holder" \
            "if it is not a set-up of this checkout, remove $LOCK and run this again"
        sleep 1
    done
}

# Ends the script after an orderly failure: .venv is whole, it only lacks something.
give_up() {
    rm -f "$LOCK"
    die "$@"
}

make_venv() {
    find_python
    say "making .venv with $FOUND ($("$FOUND" -c 'import platform; print(platform.python_version())'))"
    "$FOUND" -m venv --clear "$VENV" >&2 ||
        give_up "$FOUND could not make a virtual environment in $VENV" \
            "the lines above are its own words; is there space, may you write here?"
}

# Installs the project with the extra $1, one line per package, everything in the log.
install_extra() {
    local started=$SECONDS line
    say "installing what it needs into .venv (the first time takes about a minute)"
    if ! "$PYTHON" -m pip install --no-input --prefer-binary --progress-bar off \
        --constraint "$ROOT/scripts/constraints.txt" --editable "${ROOT}[$1]" 2>&1 |
        tee "$LOG" | while IFS= read -r line; do
        case $line in
        Collecting*) line=${line#Collecting } && printf '    %s\n' "${line%% (from*}" >&2 ;;
        Installing\ collected*) say "unpacking" ;;
        esac
    done; then
        tail -n 15 "$LOG" >&2
        give_up "the installation failed; the last lines are above, all of them in $LOG" \
            "pip reads its usual configuration: behind a proxy or with an own index, set it there"
    fi
    say "installed in $((SECONDS - started)) s"
}

# Makes .venv hold the project with the extra $1 (demo or dev); quick when it already does.
ensure_env() {
    [ ! -e "$LOCK" ] && holds_extra "$1" && return
    take_lock
    if ! holds_extra "$1"; then
        venv_works || make_venv
        install_extra "$1"
        fingerprint "$1" >"$VENV/.installed-$1"
    fi
    rm -f "$LOCK"
}
