# syntax=docker/dockerfile:1
# The server as a container: dependencies in a layer of their own, the binary alone in the final image.

FROM rust:1.95-slim-bookworm AS base
WORKDIR /src
# The toolchain of the image is the one of rust-toolchain.toml; nothing is to be downloaded beside it.
ENV CARGO_TERM_COLOR=never RUSTUP_TOOLCHAIN=1.95.0

# The manifests with empty sources. The next stage copies the outcome, so it runs again only when a manifest changes or a
# crate comes or goes. Kept, without content, are the roots that cargo finds by itself; made are those that manifests name.
FROM base AS manifests
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -path './.cargo/*' \
        ! -path '*/src/lib.rs' ! -path '*/src/main.rs' ! -name build.rs -delete \
    && find . -depth -type d -empty -delete \
    && for manifest in $(find . -name Cargo.toml); do \
        for root in $(sed -n 's/^path = "\(.*\.rs\)"$/\1/p' "$manifest"); do \
            mkdir -p "${manifest%/*}/${root%/*}" && touch "${manifest%/*}/$root"; \
        done; \
    done \
    && for root in $(find . -name '*.rs'); do echo 'fn main() {}' > "$root"; done

FROM base AS dependencies
COPY --from=manifests /src .
RUN cargo build --release --locked -p jhe-server

FROM dependencies AS build
COPY . .
# Cargo compares times: the sources must be newer than what was built from the empty ones.
RUN find crates -name '*.rs' -exec touch {} + \
    && cargo build --release --locked -p jhe-server

# No shell, no package manager; certificates and the C library only.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/jhe /usr/local/bin/jhe
ENV JHE_BIND=0.0.0.0:8000 JHE_LOG_FORMAT=json
# The process writes no files: the root file system may be read-only.
USER nonroot
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/jhe", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/jhe"]
CMD ["serve"]
