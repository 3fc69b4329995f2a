#!/usr/bin/env bash
# footprint.sh BEFORE NOW: lines of code of two trees, and bytes that a page loads, as a table.
set -euo pipefail

# Lines that are neither blank nor comments, of files that find prints. The tests of src/ are the last item of their file.
lines() { # what is counted (code or tests), the arguments of find
    local wanted=$1
    shift
    { find "$@" -print0 2>/dev/null || true; } | xargs -0 --no-run-if-empty awk -v wanted="$wanted" '
        FNR == 1 { part = FILENAME ~ /(^|\/)tests?(\/|\.rs$)/ ? "tests" : "code"; comment = attribute = 0 }
        /^#\[cfg\(test\)\]$/ { attribute = 1; next }
        attribute && !/^#/ { attribute = 0; if (/\{$/) part = "tests"; else next }
        comment { if (/\*\//) comment = 0; next }
        /^[ \t]*\/\*/ { if (!/\*\//) comment = 1; next }
        /^[ \t]*(\/\/|$)/ { next }
        part == wanted { count++ }
        END { print count + 0 }'
}

# A module, and what it imports when it is loaded, each once.
modules() {
    local file
    [[ -f $1 ]] || return 0
    realpath "$1"
    sed -nE 's/^(import|export) .* from "(\.[^"]*)";$/\2/p' "$1" | while read -r file; do
        modules "$(dirname "$1")/$file"
    done
}

# As a server sends them: each file for itself.
compressed() {
    local file
    modules "$1" | sort --unique | while read -r file; do
        gzip --stdout -9 "$file" | wc --bytes
    done | awk '{ sum += $1 } END { print sum + 0 }'
}

row() { # what, and a command that prints a number in the folder of a tree
    local what=$1 before now
    shift
    before=$(cd "$first" && "$@") now=$(cd "$second" && "$@")
    printf '| %-38s | %8d | %8d | %+7d |\n' "$what" "$before" "$now" $((now - before))
}

first=$1 second=$2
echo '|                                        |   before |      now |    more |'
echo '| -------------------------------------- | -------- | -------- | ------- |'
row 'lines of code, `src/`' lines code src -name '*.rs'
row 'lines of tests, `src/` and `tests/`' lines tests src tests -name '*.rs'
row 'lines of code, the browser module' lines code web/order-stream.js web/order-stream -name '*.js'
row 'lines of code, `web/frameworks/`' lines code web/frameworks -name '*.js'
row 'lines of tests, `web/test/`' lines tests web/test -name '*.js'
row 'bytes of the browser module, gzip' compressed web/order-stream.js
row 'bytes with React, gzip, without React' compressed web/frameworks/react.js
row 'lines of `template.yaml`' awk '!/^ *(#|$)/ { count++ } END { print count }' template.yaml
