#!/bin/sh
# Makes .venv from pyproject.toml and constraints.txt, unless the .venv that stands here was made from just these.
# Runs in the repository's root. PYTHON names the interpreter; otherwise the first on the PATH that can serve is taken.
set -eu

say() { printf 'setup: %s\n' "$*"; }

# What .venv was made from: the place, since a virtual environment cannot be moved, and both files' contents, since
# git changes their times at will. Written last, so that an interrupted set-up leaves none and is begun anew.
stamp=.venv/.ready
made_from=$(pwd -P && cksum pyproject.toml constraints.txt)

identity() { "$1" -c 'import sys; print(sys.version, sys.base_prefix)' 2>/dev/null || echo none; }

is_ready() {
    [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$made_from" ] || return 1
    [ -z "${PYTHON:-}" ] || [ "$(identity "$PYTHON")" = "$(identity .venv/bin/python)" ]
}

# Prints "ok", or why a Python cannot serve. Every Python can read it, however old.
probe='
import sys
version = ".".join(map(str, sys.version_info[:3]))
if sys.version_info[:2] < (3, 11):
    print(version + ", too old")
elif sys.version_info[:2] > (3, 14):
    print(version + ", too new for the torch used here")
else:
    try:
        import ensurepip, venv
        print("ok")
    except ImportError:
        print(version + ", without venv: on Debian or Ubuntu, apt install python3-venv")
'

choose_python() {
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3 python3.13 python3.12 python3.11 python3.14
    fi
    found=
    for python; do
        if command -v "$python" >/dev/null; then
            verdict=$("$python" -c "$probe" 2>/dev/null) || verdict='does not run'
        elif [ -n "${PYTHON:-}" ]; then
            verdict='not found'
        else
            continue
        fi
        [ "$verdict" != ok ] || return 0
        found="$found${found:+; }$python ($verdict)"
    done
    say "needs a Python from 3.11 to 3.14 that has venv. Found: ${found:-none}." \
        "Another can be named: make PYTHON=/path/to/python3" >&2
    return 1
}

# Of pip's many lines, shows what a person waits for; its warnings and errors pass by on stderr, whole.
show_large_downloads() {
    while IFS= read -r line; do
        case $line in *Downloading*' MB)' | *Downloading*' GB)') say "${line#"${line%%[! ]*}"}" ;; esac
    done
}

is_ready && exit
choose_python || exit

rm -f "$stamp"
say "making .venv with $python and installing into it, once; this takes some minutes"
# The pip that comes with a Python may be years old, and several times slower than today's. To compile all that is
# installed would take another minute; what is imported is compiled then, once.
"$python" -m venv --clear --upgrade-deps .venv
{
    .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off --no-compile \
        -e '.[dev]' -c constraints.txt &&
        printf '%s\n' "$made_from" >"$stamp"
} | show_large_downloads
[ -e "$stamp" ] || { say "stopped, since pip could not install everything; its reason stands above" >&2; exit 1; }
say "done"
