#!/usr/bin/env bash
# mutants.sh FOLDER [OPTION]...: runs cargo-mutants in a copy of the working tree, with these options of its own.
# If FILES is set, only these files are changed, and not all of .cargo/mutants.toml.
#
# A mutant costs a build. With each file of tests/ as a crate of its own, that is nineteen crates to compile and to link,
# and both functions. In the copy, the tests that need no other process are modules of the library: one crate.
set -euo pipefail

folder=$1
shift
tree=$folder/tree
tests='access access_settings attacks catching_up configuration dwelling endings endpoint expiry feed frames key_sets lives
	projection requests resting resume sources values'

rm -rf "$tree"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from=- | tar --extract --directory="$tree"

# Changes the copy's configuration, because --file would add to the list that is there, and --re (27.1.0) also selects the
# mutants of struct fields in all other files.
if [[ ${FILES:-} ]]; then
	# shellcheck disable=SC2086 # one pattern for each word
	files=$(printf '"%s", ' $FILES)
	sed --in-place "/^examine_globs = /,/^]/c examine_globs = [$files]" "$tree/.cargo/mutants.toml"
fi

# At the end, so that no line of the library moves.
cat >>"$tree/src/lib.rs" <<'RUST'
#[cfg(test)]
extern crate self as order_status_stream;
#[cfg(test)]
mod in_process;
RUST
for test in $tests; do
	printf '#[path = "../tests/%s.rs"]\nmod %s;\n' "$test" "$test"
done >"$tree/src/in_process.rs"

# tests/attacks.rs has one test that starts a function. It is skipped, see .cargo/mutants.toml.
export CARGO_BIN_EXE_stream=none
# A separate target directory. Otherwise cargo could use a mutant of the copy as the original's library, because the mutant is
# newer.
export CARGO_TARGET_DIR=$folder/target
# Few cases of each property: a mutant that only the hundredth case catches is caught by luck.
export PROPTEST_CASES=32 PROPTEST_MAX_SHRINK_ITERS=0 RUST_BACKTRACE=0
cargo mutants --dir "$tree" --in-place --package order-status-stream --output "$folder" "$@"
