# Sees that a Rust toolchain, a C compiler and PostgreSQL's server programs are there, installing the missing Debian
# packages where it may. Sourced by the other scripts.

have() { command -v "$1" >/dev/null 2>&1; }

have_postgres() {
    if [ -n "${JHE_PG_BIN:-}" ]; then
        [ -x "$JHE_PG_BIN/initdb" ] && [ -x "$JHE_PG_BIN/postgres" ]
        return
    fi
    for folder in /usr/lib/postgresql/*/bin; do
        [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && return 0
    done
    have initdb && have postgres
}

need_tools() {
    # rustup puts cargo where a non-login shell does not look.
    if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH="$HOME/.cargo/bin:$PATH"
        export PATH
    fi
    if ! have cargo; then
        echo "A Rust toolchain is needed: see https://rustup.rs" >&2
        exit 1
    fi
    local missing=""
    have cc || missing="$missing gcc libc6-dev"
    if [ -z "${DATABASE_URL:-}${TEST_DATABASE_URL:-}" ] && ! have_postgres; then
        missing="$missing postgresql"
    fi
    # shellcheck disable=SC2086 # a list of packages
    install_packages $missing
}

# Installs Debian packages, or says that they are to be installed and ends.
install_packages() {
    [ $# = 0 ] && return 0
    local as_root=""
    if [ "$(id -u)" != 0 ]; then
        if have sudo && sudo -n true 2>/dev/null; then as_root="sudo"; else as_root="no"; fi
    fi
    if ! have apt-get || [ "$as_root" = no ]; then
        echo "Please install: $*" >&2
        exit 1
    fi
    echo "Installing: $*" >&2
    export DEBIAN_FRONTEND=noninteractive
    { $as_root apt-get update -qq && $as_root apt-get install -y -qq --no-install-recommends "$@"; } >&2 || {
        echo "Please install: $*" >&2
        exit 1
    }
}
